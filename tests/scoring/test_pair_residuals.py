"""Pairs of posts with a known truth: what is said of them holds for pairs that were not looked at."""

from __future__ import annotations

import json

import numpy as np
import pytest

from viral.errors import TableError
from viral.scoring.pair_residuals import LEAST_PAIRS, POINTS, Gaps, _pairs

NOISES = {
    "normal": lambda chance, size: chance.normal(0, 0.7, size),
    "skewed": lambda chance, size: chance.gamma(1.5, 0.6, size),
    "heavy": lambda chance, size: 0.5 * chance.standard_t(3, size),
}


def posts(seed: int, noise: str, *, authors: int = 300, each: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, targets and authors: an author is off by much, always the same; a post by its noise."""
    chance = np.random.default_rng(seed)
    codes = np.repeat(np.arange(authors), each)
    predicted = chance.normal(8, 1, authors * each)
    return predicted, predicted + chance.normal(0, 2, authors)[codes] + NOISES[noise](chance, authors * each), codes


def fresh_pairs(seed: int, noise: str) -> tuple[np.ndarray, np.ndarray]:
    """By how much scores and targets differ for pairs of posts of one author each."""
    predicted, actual, _ = posts(seed, noise, authors=10_000, each=2)
    return predicted[::2] - predicted[1::2], actual[::2] - actual[1::2]


@pytest.mark.parametrize("noise", NOISES)
def test_intervals_cover_and_probabilities_are_calibrated(noise: str) -> None:
    gaps = Gaps.of(*posts(1, noise))
    scores, targets = fresh_pairs(2, noise)
    assert gaps.one_author
    spans = np.array([gaps.interval(difference) for difference in scores])
    assert 0.87 <= ((spans[:, 0] <= targets) & (targets <= spans[:, 1])).mean() <= 0.93
    said = np.array([gaps.beats(difference) for difference in scores])
    assert said.min() < 0.2 and said.max() > 0.8
    for low in np.arange(0.0, 1.0, 0.2):
        among = (said >= low) & (said < low + 0.2)
        assert abs((targets[among] > 0).mean() - said[among].mean()) < 0.04


def test_any_two_posts_where_authors_have_too_few() -> None:
    few, _, many = posts(1, "normal", authors=400, each=1), None, posts(1, "normal")
    anyone, same = Gaps.of(*few), Gaps.of(*many)
    assert (anyone.one_author, same.one_author) == (False, True)
    assert anyone.grid[-51] > 2 * same.grid[-51]  # the authors' own differences count


def test_it_takes_a_hundred_pairs_of_one_author() -> None:
    chance = np.random.default_rng(0)
    predicted, actual, codes = chance.normal(size=300), chance.normal(size=300), np.arange(300)
    codes[: 2 * LEAST_PAIRS - 2] = np.repeat(np.arange(LEAST_PAIRS - 1), 2)
    assert not Gaps.of(predicted, actual, codes).one_author
    codes[2 * LEAST_PAIRS - 2 : 2 * LEAST_PAIRS] = -1
    found = Gaps.of(predicted, actual, codes)
    assert found.one_author
    assert found.pairs >= LEAST_PAIRS


def test_it_says_the_same_both_ways_and_is_never_certain() -> None:
    gaps = Gaps.of(*posts(1, "skewed"))
    assert gaps.beats(0.0) == pytest.approx(0.5)
    for difference in (0.1, 0.8, 3.0, 100.0):
        assert gaps.beats(difference) + gaps.beats(-difference) == pytest.approx(1)
        assert 0.5 < gaps.beats(difference) < 1
        low, high = gaps.interval(difference)
        assert high - difference == pytest.approx(difference - low)
    assert gaps.beats(0.8) > gaps.beats(0.1)


def test_ties_count_half() -> None:
    gaps = Gaps.of(np.zeros(4), np.array([1.0, 1.0, 0.0, 0.0]), np.arange(4))
    assert gaps.beats(0.0) == pytest.approx(0.5)
    assert gaps.pairs == 6  # two ties, and four a one apart
    assert gaps.beats(0.5) == pytest.approx(2 / 3, abs=0.03)


def test_it_is_stored_as_json() -> None:
    gaps = Gaps.of(*posts(1, "heavy"))
    assert len(gaps.grid) == POINTS
    assert Gaps.from_dict(json.loads(json.dumps(gaps.to_dict()))) == gaps


def test_posts_without_a_target_do_not_count() -> None:
    predicted, actual, codes = posts(1, "normal")
    actual[::3] = np.nan
    assert np.isfinite(Gaps.of(predicted, actual, codes).grid).all()
    with pytest.raises(TableError, match="at least two posts"):
        Gaps.of(predicted[:1], actual[:1], codes[:1])


def test_pairs_are_of_one_author_each_once_and_bounded() -> None:
    codes = np.repeat(np.arange(4), [1, 2, 5, 200])
    left, right = _pairs(codes, np.random.default_rng(0))
    assert (codes[left] == codes[right]).all()
    assert (left != right).all()
    pairs = {frozenset(pair) for pair in zip(left.tolist(), right.tolist(), strict=True)}
    of = [sum(codes[min(pair)] == code for pair in pairs) for code in range(4)]
    assert of == [0, 1, 10, 2000]
