"""Effect sizes against their definition, and their intervals on features with and without a difference."""

from __future__ import annotations

import numpy as np
import pytest

from viral.trends.effects import MIN_AUTHORS, effects


def test_the_effect_is_cliffs_delta() -> None:
    rng = np.random.default_rng(0)
    values, viral = rng.integers(0, 9, 200).astype(np.float32), rng.random(200) < 0.3
    values[:20] = np.nan
    pairs = [
        np.sign(float(a) - float(b))
        for a in values[viral & np.isfinite(values)]
        for b in values[~viral & np.isfinite(values)]
    ]
    found = effects(values[:, None], viral, np.arange(200))
    assert found.effect[0] == pytest.approx(np.mean(pairs))
    assert found.low[0] < found.effect[0] < found.high[0]


def test_many_values_are_binned_by_rank_without_losing_the_effect() -> None:
    rng = np.random.default_rng(0)
    viral = rng.random(5000) < 0.25
    values = np.exp(5 * rng.normal(size=5000) + viral).astype(np.float32)
    order = np.argsort(np.argsort(values)) + 1
    auc = (order[viral].sum() - viral.sum() * (viral.sum() + 1) / 2) / (viral.sum() * (~viral).sum())
    assert effects(values[:, None], viral, np.arange(5000)).effect[0] == pytest.approx(2 * auc - 1, abs=0.005)


def test_a_planted_difference_is_found_among_a_hundred_features_and_no_other() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(4000, 100)).astype(np.float32)
    viral = rng.random(4000) < 0.25
    features[viral, 7] += 0.5
    found = effects(features, viral, rng.integers(0, 1500, 4000))
    excluded = np.flatnonzero((found.low > 0) | (found.high < 0))
    assert excluded.tolist() == [7] == np.flatnonzero(found.adjusted_p < 0.1).tolist()


def test_without_any_difference_one_table_in_ten_shows_some() -> None:
    """Authors have values of their own: an interval over posts would be far too narrow."""
    rng, wrong = np.random.default_rng(2), 0
    for _ in range(60):
        authors = rng.integers(0, 150, 600)
        features = (rng.normal(size=(150, 20))[authors] + 0.3 * rng.normal(size=(600, 20))).astype(np.float32)
        viral = (rng.normal(size=150)[authors] + rng.normal(size=600)) > 1
        found = effects(features, viral, authors)
        wrong += bool(((found.low > 0) | (found.high < 0)).any())
    assert wrong <= 15  # expected 6; under its binomial distribution, more has a probability of 0.0003


def test_a_feature_of_few_authors_has_no_interval() -> None:
    rng = np.random.default_rng(3)
    authors = np.arange(200) % (MIN_AUTHORS - 1)
    found = effects(rng.normal(size=(200, 1)).astype(np.float32), rng.random(200) < 0.5, authors)
    assert np.isfinite(found.effect[0]) and np.isnan([found.low[0], found.high[0], found.adjusted_p[0]]).all()
