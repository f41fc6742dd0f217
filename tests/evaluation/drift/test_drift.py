"""Drift raises no alarm for an unchanged model, and one in the right window for a degraded one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from viral.errors import ConfigError
from viral.evaluation.bootstrap import metrics
from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.drift.alarms import AlarmLimits
from viral.evaluation.drift.drift import (
    MIN_AUTHORS,
    MIN_POSTS,
    Drift,
    DriftWindow,
    LabelledPredictions,
    drift,
    split_into_windows,
)
from viral.evaluation.labels import Labels
from viral.models.predictions import PredictionBatch

BEGAN = np.datetime64("2024-03-04T00:00:00", "us")
DAY = np.timedelta64(86_400_000_000, "us")
WEEKS, POSTS = 6, 1200
SCORECARD = Estimate(0.81, 0.78, 0.84)


def right(seed: int = 0, *, posts: int = POSTS, weeks: int = WEEKS) -> LabelledPredictions:
    """A perfectly calibrated model: labels are drawn from its predictions."""
    rng = np.random.default_rng(seed)
    score, noise = rng.normal(size=posts), rng.normal(size=posts)
    labels = Labels(
        post_ids=[str(row) for row in range(posts)],
        posted_at=np.sort(BEGAN + (rng.random(posts) * weeks * 7 * 86_400_000_000).astype("timedelta64[us]")),
        authors=rng.integers(posts // 4, size=posts),
        y=score + noise,
        is_viral=score + noise > 1,
    )
    predictions = PredictionBatch(stats.norm.sf(1 - score), score, score - 1.645, score + 1.645)
    return LabelledPredictions(labels, predictions, rng.random(posts) > 0.02)


def changed(posts: LabelledPredictions, **columns: Any) -> LabelledPredictions:
    """The posts with other columns, named as in `Labels` and `PredictionBatch`."""
    labels = {name: column for name, column in columns.items() if hasattr(posts.labels, name)}
    predictions = {name: column for name, column in columns.items() if name not in labels}
    return replace(posts, labels=replace(posts.labels, **labels), predictions=replace(posts.predictions, **predictions))


def weeks_of(posts: LabelledPredictions, *weeks: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.isin((posts.posted_at - posts.posted_at.min()) // (7 * DAY), weeks)


def alarms(found: Drift, metric: str) -> set[int]:
    """The windows, by number, for which that metric raised an alarm."""
    raised = {(alarm.first, alarm.last) for alarm in found.alarms if alarm.metric == metric}
    return {number for number, window in enumerate(found.windows) if (window.first, window.last) in raised}


def test_figures_are_those_of_the_libraries():
    posts = right()
    whole = drift(posts, AlarmLimits()).whole.metrics
    assert whole["roc_auc"].value == pytest.approx(roc_auc_score(posts.labels.is_viral, posts.predictions.probability))
    classes = metrics.classification(posts.labels.is_viral, posts.predictions.probability)
    assert whole["ece"].value == pytest.approx(classes["ece"], abs=1e-6)
    assert (
        whole["coverage"].value
        == metrics.intervals(posts.labels.y, posts.predictions.low, posts.predictions.high)["coverage"]
    )
    assert whole["predicted"].value == pytest.approx(posts.predictions.probability.mean())
    assert whole["calibration"].value == pytest.approx((posts.predictions.probability - posts.labels.is_viral).mean())
    assert whole["residual"].value == pytest.approx((posts.labels.y - posts.predictions.score).mean())
    assert whole["unknown"].value == pytest.approx(1 - posts.in_distribution.mean())
    for estimate in whole.values():
        assert estimate.low < estimate.value < estimate.high or estimate.value == estimate.low


@pytest.mark.parametrize("posts", [200, 1200])
def test_chance_raises_no_alarm(posts: int):
    """Hardly ever: at most one window in 100, of models that are right; with 30 posts a window, and with 200."""
    found = [drift(right(seed, posts=posts), AlarmLimits(), reference=SCORECARD, resamples=100) for seed in range(30)]
    tested = sum(len(each.windows) + 1 for each in found)
    assert tested > 30 * 5
    assert sum(len(each.alarms) for each in found) <= tested / 100


def test_a_limit_that_the_model_is_at_is_passed_as_often_as_the_intervals_say():
    """At the limit itself each end of a 98 % interval errs once in 100; a limit of the point alone, in every second."""
    limits = AlarmLimits(coverage=(0.9, 1.0), calibration=1, auc=1, unknown=1)
    found = [drift(right(seed, posts=600, weeks=3), limits, resamples=100) for seed in range(30)]
    windows = [window for each in found for window in each.windows]
    below = sum(window.metrics["coverage"].value < 0.9 for window in windows)
    assert below > 0.3 * len(windows)
    assert sum(len(each.alarms) for each in found) <= 0.05 * len(windows)


def test_promises_that_are_not_kept_raise_an_alarm_where_they_begin():
    posts = right()
    late = weeks_of(posts, 4, 5)
    found = drift(changed(posts, is_viral=posts.labels.is_viral & ~(late & (posts.labels.y < 2.2))), AlarmLimits())
    assert alarms(found, "calibration") == {4, 5}
    assert {alarm.metric for alarm in found.alarms} <= {"calibration", "roc_auc"}
    sentence = next(alarm.sentence for alarm in found.alarms if alarm.metric == "calibration")
    assert sentence.startswith("Posts of 2024-04-01 to 2024-04-")
    assert "so too many were predicted" in sentence


def test_intervals_that_miss_or_hold_everything_raise_one():
    posts = right()
    moved = np.where(weeks_of(posts, 2), posts.labels.y + 3, posts.labels.y)
    found = drift(changed(posts, y=moved), AlarmLimits())
    assert (alarms(found, "coverage"), alarms(found, "calibration")) == ({2}, set())
    assert "they are too narrow" in found.alarms[0].sentence
    assert found.windows[2].metrics["residual"].low > 2
    wide = drift(changed(posts, low=posts.predictions.low - 9, high=posts.predictions.high + 9), AlarmLimits())
    assert alarms(wide, "coverage") == set(range(WEEKS))


def test_strange_posts_raise_one_and_a_model_that_cannot_tell_none():
    posts = right()
    strange = replace(
        posts, in_distribution=posts.in_distribution & ~(weeks_of(posts, 3) & (posts.predictions.score > 0))
    )
    found = drift(strange, AlarmLimits())
    assert alarms(found, "unknown") == {3}
    assert "are unlike the training posts, more than 10 %" in found.alarms[0].sentence
    assert "unknown" not in drift(replace(posts, in_distribution=None), AlarmLimits()).whole.metrics


def test_an_order_that_is_lost_raises_one_where_there_is_a_scorecard():
    posts, rng = right(), np.random.default_rng(1)
    late = np.flatnonzero(weeks_of(posts, 5))
    probability = posts.predictions.probability.copy()
    probability[late] = rng.permutation(probability[late])
    lost = changed(posts, probability=probability)
    assert alarms(drift(lost, AlarmLimits(), reference=SCORECARD), "roc_auc") == {5}
    assert alarms(drift(lost, AlarmLimits()), "roc_auc") == set()


def test_thirty_posts_that_all_agree_leave_doubt():
    """The bootstrap alone gives an interval of no width, above the greatest coverage."""
    some = right(posts=40, weeks=1)
    found = drift(changed(some, low=some.labels.y - 1, high=some.labels.y + 1, authors=np.arange(40)), AlarmLimits())
    coverage = found.whole.metrics["coverage"]
    assert (coverage.value, coverage.high, found.alarms) == (1.0, 1.0, ())
    assert coverage.low == pytest.approx(0.01 ** (1 / 40))


def test_small_windows_are_joined():
    posts = right(posts=POSTS)
    thin = posts.take(np.flatnonzero(~weeks_of(posts, 1, 5) | (np.arange(POSTS) % 20 == 0)))
    found = split_into_windows(thin, 7)
    assert np.array_equal(np.concatenate(found), np.arange(len(thin.labels.y)))
    assert len(found) == 4  # the second with the third, the last with the one before
    assert all(len(rows) >= MIN_POSTS for rows in found)
    one = changed(posts, authors=np.where(weeks_of(posts, 0), 0, posts.labels.authors))
    assert len(split_into_windows(one, 7)) == WEEKS - 1
    assert len(split_into_windows(posts, 1000)) == 1


def test_too_few_posts_or_authors_are_shown_but_raise_nothing():
    wrong = changed(right(), low=np.full(POSTS, 90.0), high=np.full(POSTS, 91.0))
    few = drift(wrong.take(np.arange(MIN_POSTS - 1)), AlarmLimits())
    alone = drift(changed(wrong, authors=np.arange(POSTS) % (MIN_AUTHORS - 1)), AlarmLimits())
    for found in (few, alone):
        assert found.windows == (found.whole,)
        assert (found.whole.metrics["coverage"].value, found.alarms) == (0.0, ())
    assert isinstance(few.whole, DriftWindow) and drift(wrong, AlarmLimits()).alarms


@pytest.mark.parametrize(
    "limits", [{"coverage": (0.9, 0.8)}, {"coverage": (-0.1, 0.9)}, {"auc": -0.1}, {"calibration": 5}, {"unknown": 2}]
)
def test_limits_that_cannot_be(limits: dict[str, Any]):
    with pytest.raises(ConfigError):
        AlarmLimits(**limits)
