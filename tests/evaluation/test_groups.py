from __future__ import annotations

import numpy as np
import pytest

from viral.evaluation.groups import OTHERS, TIERS, UNKNOWN, follower_tiers, group_calibration
from viral.evaluation.labels import Labels
from viral.evaluation.languages import language_name
from viral.models.predictions import PredictionBatch


def calibrated(count: int = 600, authors: int = 120) -> tuple[Labels, PredictionBatch]:
    """Intervals and probabilities that are right for all posts."""
    rng = np.random.default_rng(0)
    expected = rng.normal(size=count)
    y = expected + rng.normal(size=count)
    probability = rng.uniform(0.1, 0.4, size=count)
    labels = Labels([str(row) for row in range(count)], np.arange(count) % authors, y, rng.random(count) < probability)
    return labels, PredictionBatch(probability, expected, expected - 1.645, expected + 1.645)


def test_tiers_of_followers() -> None:
    followers = np.array([0, 999, 1000, 9_999, 10_000, 100_000, 999_999, 1e6, np.nan])
    low, next_, middle, high, top = TIERS
    assert follower_tiers(followers) == [low, low, next_, next_, middle, high, high, top, UNKNOWN]


def test_a_group_for_which_it_does_not_hold_stands_out() -> None:
    labels, predictions = calibrated()
    names = np.where(np.arange(600) % 120 < 40, "weak", "fine")
    weak = names == "weak"
    narrow = PredictionBatch(
        np.where(weak, 0.9, predictions.probability),
        predictions.score,
        np.where(weak, predictions.score - 0.3, predictions.low),
        np.where(weak, predictions.score + 0.3, predictions.high),
    )
    fine, wrong = group_calibration("kind", names.tolist(), labels, narrow, resamples=100).groups
    assert (fine.name, wrong.name, wrong.posts, wrong.authors) == ("fine", "weak", 200, 40)
    for group, rows in ((fine, ~weak), (wrong, weak)):
        assert group.coverage is not None
        assert group.coverage.value == pytest.approx(
            ((narrow.low <= labels.y) & (labels.y <= narrow.high))[rows].mean()
        )
        assert group.gap.value == pytest.approx(group.predicted - group.observed)
    assert fine.coverage.low > 0.85 and fine.gap.low <= 0 <= fine.gap.high
    assert wrong.coverage.high < 0.5 and wrong.gap.low > 0.5


def test_small_groups_are_put_together_and_come_last() -> None:
    labels, predictions = calibrated()
    names = ["b"] * 300 + ["a"] * 200 + [UNKNOWN] * 60 + ["c"] * 19 + ["d"] * 21 + ["e"] * 0
    names[-3:] = ["f"] * 3
    groups = group_calibration("letter", names, labels, predictions, order=("a",), resamples=20).groups
    assert [(group.name, group.posts) for group in groups] == [
        ("a", 200),
        ("b", 300),
        (UNKNOWN, 60),
        (OTHERS, 40),
    ]


def test_a_single_small_group_keeps_its_name_and_has_no_interval() -> None:
    labels, predictions = calibrated()
    *_, last = group_calibration("letter", ["a"] * 590 + ["b"] * 10, labels, predictions, resamples=20).groups
    assert (last.name, last.coverage.low, last.gap.low) == ("b", None, None)
    assert last.gap.value is not None


def test_few_authors_have_no_interval() -> None:
    labels, predictions = calibrated(authors=3)
    (group,) = group_calibration("letter", ["a"] * 600, labels, predictions, resamples=20).groups
    assert (group.authors, group.coverage.low) == (3, None)


def test_a_model_without_intervals() -> None:
    labels, predictions = calibrated()
    (group,) = group_calibration(
        "letter", ["a"] * 600, labels, PredictionBatch(predictions.probability, predictions.score), resamples=20
    ).groups
    assert group.coverage is None and group.gap.low is not None


def test_names_of_languages() -> None:
    assert [language_name(code) for code in ("vi", "ga", UNKNOWN)] == ["Vietnamese", "ga", "unknown"]
