from __future__ import annotations

import numpy as np
import pytest

from viral.errors import TableError
from viral.labels.threshold import SMALLEST_BIN, Threshold, fit_threshold


@pytest.mark.parametrize(
    ("size", "fraction", "viral"), [(4, 0.25, 1), (1000, 0.25, 250), (5, 0.25, 1), (10, 0.1, 1), (282, 0.25, 71)]
)
def test_the_fraction_rounded_up_is_viral(size, fraction, viral):
    targets = np.arange(size, dtype=float)
    assert fit_threshold(targets, None, fraction).above(targets, None).sum() == viral


def test_posts_that_tie_at_the_threshold_are_not_viral():
    targets = np.array([0.0, 0, 0, 0, 0, 0, 0, 0, 1, 2])
    threshold = fit_threshold(targets, None, 0.5)
    assert threshold.overall == 0.0
    assert threshold.above(targets, None).sum() == 2


def test_where_the_top_ties_there_is_no_threshold():
    with pytest.raises(TableError, match="top 25% of 8 posts all have the target 3; give more posts"):
        fit_threshold(np.full(8, 3.0), None, 0.25)


def test_each_bin_has_its_own_threshold():
    targets = np.concatenate([np.arange(20), np.arange(20) + 100]).astype(float)
    bins = ["low"] * 20 + ["high"] * 20
    threshold = fit_threshold(targets, bins, 0.25)
    assert sorted(threshold.bins) == ["high", "low"]
    viral = threshold.above(targets, bins)
    assert (viral[:20].sum(), viral[20:].sum()) == (5, 5)
    assert fit_threshold(targets, None, 0.25).above(targets, None)[:20].sum() == 0


def test_small_constant_unknown_and_unseen_bins_go_by_the_overall_threshold():
    targets = np.concatenate([np.arange(SMALLEST_BIN - 1), np.full(30, 5.0), np.arange(30)]).astype(float)
    bins = ["small"] * (SMALLEST_BIN - 1) + ["constant"] * 30 + [""] * 30
    threshold = fit_threshold(targets, bins, 0.25)
    assert threshold.bins == {}
    assert threshold.above(np.array([1e9, -1e9]), ["unseen", ""]).tolist() == [True, False]


def test_the_threshold_itself_is_not_above():
    assert Threshold(1.0, {"a": 3.0}).above(np.array([1.0, 2.0, 3.0, 4.0]), ["", "", "a", "a"]).tolist() == [
        False,
        True,
        False,
        True,
    ]
