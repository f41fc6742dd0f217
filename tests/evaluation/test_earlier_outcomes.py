"""The neighbours of `tests/bench/retrieval.py` are earlier posts by others: nothing else may move what they say."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.retrieval import earlier_outcomes

COUNT, POST = 60, 30
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(COUNT, 4)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
TIMES, AUTHORS, SCORES = np.arange(COUNT), np.arange(COUNT) % 7, RNG.normal(size=COUNT)
LEARNT = np.arange(COUNT) % 5 > 0


def of_post(**changed: np.ndarray) -> np.ndarray:
    values = {"vectors": VECTORS, "posted_at": TIMES, "authors": AUTHORS, "score": SCORES, "learnt": LEARNT}
    return earlier_outcomes(**{**values, **changed})[POST]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("other", "moves"),
    [
        (POST - 1, True),  # an earlier one
        (POST + 1, False),  # a later one
        (POST - 7, False),  # one by the same author
        (POST - 5, False),  # one that was not learnt from
        (POST, False),  # the post itself
    ],
)
def test_only_earlier_posts_by_others_count(other: int, moves: bool) -> None:
    scores = SCORES.copy()
    scores[other] += 100
    assert np.array_equal(of_post(score=scores), of_post()) != moves


def test_a_later_post_may_say_and_show_anything() -> None:
    vectors, times, scores = VECTORS.copy(), TIMES.copy(), SCORES.copy()
    vectors[POST + 1], times[POST + 1], scores[POST + 1] = VECTORS[POST], 10 * COUNT, 1e6
    assert np.array_equal(of_post(vectors=vectors, posted_at=times, score=scores), of_post())


def test_without_a_vector_or_an_earlier_post_nothing_is_known() -> None:
    vectors = VECTORS.copy()
    vectors[POST] = 0
    assert np.isnan(of_post(vectors=vectors)).all()
    assert np.isnan(of_post(posted_at=np.full(COUNT, 3))).all()
