"""Drift: silence on a model that is as good as ever, an alarm where it is not, in the window where it began."""

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
from viral.evaluation.drift.alarms import Limits
from viral.evaluation.drift.drift import LEAST_AUTHORS, LEAST_POSTS, Drift, Outcomes, Window, drift, windowed

BEGAN = np.datetime64("2024-03-04T00:00:00", "us")
DAY = np.timedelta64(86_400_000_000, "us")
WEEKS, POSTS = 6, 1200
SCORECARD = Estimate(0.81, 0.78, 0.84)


def right(seed: int = 0, *, posts: int = POSTS, weeks: int = WEEKS) -> Outcomes:
    """A model that knows all that can be known: what comes is drawn from what it says."""
    rng = np.random.default_rng(seed)
    score, noise = rng.normal(size=posts), rng.normal(size=posts)
    return Outcomes(
        posted_at=np.sort(BEGAN + (rng.random(posts) * weeks * 7 * 86_400_000_000).astype("timedelta64[us]")),
        authors=rng.integers(posts // 4, size=posts),
        probability=stats.norm.sf(1 - score),
        score=score,
        low=score - 1.645,
        high=score + 1.645,
        known=rng.random(posts) > 0.02,
        y=score + noise,
        is_viral=score + noise > 1,
    )


def weeks_of(outcomes: Outcomes, *weeks: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.isin((outcomes.posted_at - outcomes.posted_at.min()) // (7 * DAY), weeks)


def alarms(found: Drift, figure: str) -> set[int]:
    """The windows, by number, for which that figure raised an alarm."""
    there = {(alarm.first, alarm.last) for alarm in found.alarms if alarm.figure == figure}
    return {number for number, window in enumerate(found.windows) if (window.first, window.last) in there}


def test_figures_are_those_of_the_libraries():
    outcomes = right()
    whole = drift(outcomes, Limits()).whole.figures
    assert whole["roc_auc"].value == pytest.approx(roc_auc_score(outcomes.is_viral, outcomes.probability))
    classes = metrics.classification(outcomes.is_viral, outcomes.probability)
    assert whole["ece"].value == pytest.approx(classes["ece"], abs=1e-6)
    assert whole["coverage"].value == metrics.intervals(outcomes.y, outcomes.low, outcomes.high)["coverage"]
    assert whole["predicted"].value == pytest.approx(outcomes.probability.mean())
    assert whole["calibration"].value == pytest.approx((outcomes.probability - outcomes.is_viral).mean())
    assert whole["residual"].value == pytest.approx((outcomes.y - outcomes.score).mean())
    assert whole["unknown"].value == pytest.approx(1 - outcomes.known.mean())
    for estimate in whole.values():
        assert estimate.low < estimate.value < estimate.high or estimate.value == estimate.low


@pytest.mark.parametrize("posts", [200, 1200])
def test_chance_raises_no_alarm(posts: int):
    """Hardly ever: at most one window in 100, of models that are right; with 30 posts a window, and with 200."""
    found = [drift(right(seed, posts=posts), Limits(), reference=SCORECARD, resamples=100) for seed in range(30)]
    looked_at = sum(len(each.windows) + 1 for each in found)
    assert looked_at > 30 * 5
    assert sum(len(each.alarms) for each in found) <= looked_at / 100


def test_a_limit_that_the_model_is_at_is_passed_as_often_as_the_intervals_say():
    """At the limit itself each end of a 98 % interval errs once in 100; a limit of the point alone, in every second."""
    limits = Limits(coverage=(0.9, 1.0), calibration=1, auc=1, unknown=1)
    found = [drift(right(seed, posts=600, weeks=3), limits, resamples=100) for seed in range(30)]
    windows = [window for each in found for window in each.windows]
    below = sum(window.figures["coverage"].value < 0.9 for window in windows)
    assert below > 0.3 * len(windows)
    assert sum(len(each.alarms) for each in found) <= 0.05 * len(windows)


def test_promises_that_are_not_kept_raise_an_alarm_where_they_begin():
    outcomes = right()
    late = weeks_of(outcomes, 4, 5)
    found = drift(replace(outcomes, is_viral=outcomes.is_viral & ~(late & (outcomes.y < 2.2))), Limits())
    assert alarms(found, "calibration") == {4, 5}
    assert {alarm.figure for alarm in found.alarms} <= {"calibration", "roc_auc"}
    sentence = next(alarm.sentence for alarm in found.alarms if alarm.figure == "calibration")
    assert sentence.startswith("Posts of 2024-04-01 to 2024-04-")
    assert "so too many were promised" in sentence


def test_intervals_that_miss_or_hold_everything_raise_one():
    outcomes = right()
    moved = np.where(weeks_of(outcomes, 2), outcomes.y + 3, outcomes.y)
    found = drift(replace(outcomes, y=moved), Limits())
    assert (alarms(found, "coverage"), alarms(found, "calibration")) == ({2}, set())
    assert "they are too narrow" in found.alarms[0].sentence
    assert found.windows[2].figures["residual"].low > 2
    wide = drift(replace(outcomes, low=outcomes.low - 9, high=outcomes.high + 9), Limits())
    assert alarms(wide, "coverage") == set(range(WEEKS))


def test_strange_posts_raise_one_and_a_model_that_cannot_tell_none():
    outcomes = right()
    strange = replace(outcomes, known=outcomes.known & ~(weeks_of(outcomes, 3) & (outcomes.score > 0)))
    found = drift(strange, Limits())
    assert alarms(found, "unknown") == {3}
    assert "are unlike the training posts, more than 10 %" in found.alarms[0].sentence
    assert "unknown" not in drift(replace(outcomes, known=None), Limits()).whole.figures


def test_an_order_that_is_lost_raises_one_where_there_is_a_scorecard():
    outcomes, rng = right(), np.random.default_rng(1)
    late = np.flatnonzero(weeks_of(outcomes, 5))
    probability = outcomes.probability.copy()
    probability[late] = rng.permutation(probability[late])
    lost = replace(outcomes, probability=probability)
    assert alarms(drift(lost, Limits(), reference=SCORECARD), "roc_auc") == {5}
    assert alarms(drift(lost, Limits()), "roc_auc") == set()


def test_thirty_posts_that_all_agree_leave_doubt():
    """The bootstrap alone gives an interval of no width, above the greatest coverage."""
    some = right(posts=40, weeks=1)
    found = drift(replace(some, low=some.y - 1, high=some.y + 1, authors=np.arange(40)), Limits())
    coverage = found.whole.figures["coverage"]
    assert (coverage.value, coverage.high, found.alarms) == (1.0, 1.0, ())
    assert coverage.low == pytest.approx(0.01 ** (1 / 40))


def test_small_windows_are_joined():
    outcomes = right(posts=POSTS)
    thin = outcomes.take(np.flatnonzero(~weeks_of(outcomes, 1, 5) | (np.arange(POSTS) % 20 == 0)))
    found = windowed(thin, 7)
    assert np.array_equal(np.concatenate(found), np.arange(len(thin.y)))
    assert len(found) == 4  # the second with the third, the last with the one before
    assert all(len(rows) >= LEAST_POSTS for rows in found)
    one = replace(outcomes, authors=np.where(weeks_of(outcomes, 0), 0, outcomes.authors))
    assert len(windowed(one, 7)) == WEEKS - 1
    assert len(windowed(outcomes, 1000)) == 1


def test_too_few_posts_or_authors_are_shown_but_raise_nothing():
    wrong = replace(right(), low=np.full(POSTS, 90.0), high=np.full(POSTS, 91.0))
    few = drift(wrong.take(np.arange(LEAST_POSTS - 1)), Limits())
    alone = drift(replace(wrong, authors=np.arange(POSTS) % (LEAST_AUTHORS - 1)), Limits())
    for found in (few, alone):
        assert found.windows == (found.whole,)
        assert (found.whole.figures["coverage"].value, found.alarms) == (0.0, ())
    assert isinstance(few.whole, Window) and drift(wrong, Limits()).alarms


@pytest.mark.parametrize(
    "limits", [{"coverage": (0.9, 0.8)}, {"coverage": (-0.1, 0.9)}, {"auc": -0.1}, {"calibration": 5}, {"unknown": 2}]
)
def test_limits_that_cannot_be(limits: dict[str, Any]):
    with pytest.raises(ConfigError):
        Limits(**limits)
