"""Intervals and probabilities for pairs of posts, tested on new pairs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from viral.errors import TableError
from viral.scoring.pair_residuals import GRID, MIN_PAIRS, PairResiduals, _pairs

NOISES = {
    "normal": lambda rng, size: rng.normal(0, 0.7, size),
    "skewed": lambda rng, size: rng.gamma(1.5, 0.6, size),
    "heavy": lambda rng, size: 0.5 * rng.standard_t(3, size),
}


def posts(seed: int, noise: str, *, authors: int = 300, each: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, targets and authors: the score of an author is off by a constant, that of a post by noise."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(authors), each)
    predicted = rng.normal(8, 1, authors * each)
    return predicted, predicted + rng.normal(0, 2, authors)[codes] + NOISES[noise](rng, authors * each), codes


def fresh_pairs(seed: int, noise: str) -> tuple[np.ndarray, np.ndarray]:
    """Differences of scores and of targets for pairs of posts by one author."""
    predicted, actual, _ = posts(seed, noise, authors=10_000, each=2)
    return predicted[::2] - predicted[1::2], actual[::2] - actual[1::2]


@pytest.mark.parametrize("noise", NOISES)
def test_intervals_cover_and_probabilities_are_calibrated(noise: str) -> None:
    residuals = PairResiduals.fit(*posts(1, noise))
    scores, targets = fresh_pairs(2, noise)
    assert residuals.one_author
    spans = np.array([residuals.interval(difference) for difference in scores])
    assert 0.87 <= ((spans[:, 0] <= targets) & (targets <= spans[:, 1])).mean() <= 0.93
    probabilities = np.array([residuals.win_probability(difference) for difference in scores])
    assert probabilities.min() < 0.2 and probabilities.max() > 0.8
    for low in np.arange(0.0, 1.0, 0.2):
        among = (probabilities >= low) & (probabilities < low + 0.2)
        assert abs((targets[among] > 0).mean() - probabilities[among].mean()) < 0.04


def test_any_two_posts_where_authors_have_too_few() -> None:
    few, _, many = posts(1, "normal", authors=400, each=1), None, posts(1, "normal")
    anyone, same = PairResiduals.fit(*few), PairResiduals.fit(*many)
    assert (anyone.one_author, same.one_author) == (False, True)
    assert anyone.grid[-51] > 2 * same.grid[-51]  # the authors' own differences count


def test_it_takes_a_hundred_pairs_of_one_author() -> None:
    rng = np.random.default_rng(0)
    predicted, actual, codes = rng.normal(size=300), rng.normal(size=300), np.arange(300)
    codes[: 2 * MIN_PAIRS - 2] = np.repeat(np.arange(MIN_PAIRS - 1), 2)
    assert not PairResiduals.fit(predicted, actual, codes).one_author
    codes[2 * MIN_PAIRS - 2 : 2 * MIN_PAIRS] = -1
    fitted = PairResiduals.fit(predicted, actual, codes)
    assert fitted.one_author
    assert fitted.pairs >= MIN_PAIRS


def test_it_says_the_same_both_ways_and_is_never_certain() -> None:
    residuals = PairResiduals.fit(*posts(1, "skewed"))
    assert residuals.win_probability(0.0) == pytest.approx(0.5)
    for difference in (0.1, 0.8, 3.0, 100.0):
        assert residuals.win_probability(difference) + residuals.win_probability(-difference) == pytest.approx(1)
        assert 0.5 < residuals.win_probability(difference) < 1
        low, high = residuals.interval(difference)
        assert high - difference == pytest.approx(difference - low)
    assert residuals.win_probability(0.8) > residuals.win_probability(0.1)


def test_ties_count_half() -> None:
    residuals = PairResiduals.fit(np.zeros(4), np.array([1.0, 1.0, 0.0, 0.0]), np.arange(4))
    assert residuals.win_probability(0.0) == pytest.approx(0.5)
    assert residuals.pairs == 6  # two ties, and four a one apart
    assert residuals.win_probability(0.5) == pytest.approx(2 / 3, abs=0.03)


def test_it_is_stored_as_json() -> None:
    residuals = PairResiduals.fit(*posts(1, "heavy"))
    assert len(residuals.grid) == GRID
    assert PairResiduals.from_dict(json.loads(json.dumps(residuals.to_dict()))) == residuals


def test_posts_without_a_target_do_not_count() -> None:
    predicted, actual, codes = posts(1, "normal")
    actual[::3] = np.nan
    assert np.isfinite(PairResiduals.fit(predicted, actual, codes).grid).all()
    with pytest.raises(TableError, match="at least two posts"):
        PairResiduals.fit(predicted[:1], actual[:1], codes[:1])


def test_pairs_are_of_one_author_each_once_and_bounded() -> None:
    codes = np.repeat(np.arange(4), [1, 2, 5, 200])
    left, right = _pairs(codes, np.random.default_rng(0))
    assert (codes[left] == codes[right]).all()
    assert (left != right).all()
    pairs = {frozenset(pair) for pair in zip(left.tolist(), right.tolist(), strict=True)}
    counts = [sum(codes[min(pair)] == code for pair in pairs) for code in range(4)]
    assert counts == [0, 1, 10, 2000]
