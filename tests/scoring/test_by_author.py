"""Calibration treats the author as the unit: weights, intervals over draws of authors, smooth probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from tests.scoring.simulated_authors import calibrate_sample, covered, draw_authors
from viral.evaluation.bootstrap.metrics import classification
from viral.scoring.author_weights import author_weights
from viral.scoring.conformal import careful_level, conformal_quantile, fit_shifts
from viral.scoring.smooth_probability import apply_beta, fit_beta


def test_posts_of_one_author_count_once_if_they_agree_and_each_if_they_do_not() -> None:
    rng = np.random.default_rng(0)
    authors = np.repeat(np.arange(200), 5)
    alike, apart = rng.normal(size=200)[authors], rng.normal(size=1000)
    assert author_weights(alike, authors).sum() == pytest.approx(200)
    assert author_weights(apart, authors).sum() == pytest.approx(1000, rel=0.2)
    half = author_weights(alike + apart, authors).sum()
    assert 300 < half < 370  # 1000 / (1 + 4 / 2)
    assert author_weights(apart, np.arange(1000)).tolist() == [1.0] * 1000


def test_a_conformal_quantile_is_taken_directly_and_covers_ties() -> None:
    scores, ones = np.arange(100.0), np.ones(100)
    assert conformal_quantile(scores, ones, 0.9) == pytest.approx(89.9)  # the 90.9th of 101
    assert conformal_quantile(scores, ones, 0.999) == 99.0
    assert conformal_quantile(scores, np.where(scores < 50, 2.0, 1.0), 0.5) == pytest.approx(36.75)
    ties = np.array([0.0] * 30 + [0.1 + 0.2] * 70)
    assert conformal_quantile(ties, ones, 0.9) == 0.1 + 0.2
    y = np.repeat([1e5, 2e5, 3e5], 40) + 0.1
    quantiles = np.stack([y - 0.7, y - 0.7, y - 0.7], axis=1)
    shifts = fit_shifts(quantiles, y, np.arange(120))
    assert (quantiles[:, 2] + shifts.above >= y).mean() > 0.6


@pytest.mark.parametrize(("authors", "draws"), [(30, 40), (100, 20), (300, 10)])
def test_intervals_hold_in_most_draws_of_authors(authors: int, draws: int) -> None:
    """`tests/bench/calibration.py` draws two hundred corpora of each size."""
    rng = np.random.default_rng(authors)
    pairs = [(draw_authors(rng, authors), draw_authors(rng, 300)) for _ in range(draws)]
    coverage = np.array([covered(calibrate_sample(sample), test)[:2] for sample, test in pairs])
    assert (coverage.mean(axis=0) > 0.87).all()
    assert (coverage.mean(axis=0) < 0.93).all()
    assert (np.quantile(coverage, 0.1, axis=0) > 0.85).all()


def test_few_posts_widen_and_groups_need_enough_of_them() -> None:
    assert careful_level(20) > careful_level(200) > 0.9
    rng = np.random.default_rng(0)
    few, many = draw_authors(rng, 20), draw_authors(rng, 400)
    assert fit_shifts(few.quantiles, few.y, few.authors).levels == ()
    (_, _, low), _, (_, _, high) = fit_shifts(many.quantiles, many.y, many.authors).levels
    assert high > low + 0.5  # errors grow with the predicted level


def test_probabilities_are_smooth_and_never_extreme() -> None:
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(10):
        sample, test = draw_authors(rng, 150), draw_authors(rng, 300)
        calibrated = calibrate_sample(sample).probability(test.probability)
        errors.append(classification(test.viral, calibrated)["ece"])
    assert np.mean(errors) < 0.05
    grid = np.linspace(-14, 14, 500)
    values = apply_beta(grid, fit_beta(grid[::10], grid[::10] > 0, np.arange(50)))
    assert (np.diff(values) >= 0).all()
    assert 1 / 60 < values.min() < values.max() < 59 / 60
