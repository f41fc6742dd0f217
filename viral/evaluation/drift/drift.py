"""Evaluate a model on newer posts, window by window, and raise alarms.

An alarm needs the whole interval of a metric to lie beyond its limit: over many windows, a metric itself crosses a
limit by chance now and then even if nothing has changed, but the interval seldom does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap import sums
from viral.evaluation.bootstrap.by_author import AuthorBootstrap, Estimate
from viral.evaluation.bootstrap.curves import RankedProbability
from viral.evaluation.bootstrap.metrics import fixed_tie_breaker
from viral.evaluation.bootstrap.sums import AuthorSums, Columns
from viral.evaluation.drift.alarms import Alarm, AlarmLimits, beyond_limits
from viral.evaluation.labels import Labels
from viral.models.predictions import PredictionBatch

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Per window: with fewer, the intervals are too wide for an alarm, and the window is merged with the next.
MIN_POSTS, MIN_AUTHORS = 30, 10
LEVEL = 0.98  # of the intervals: higher than a scorecard's 90 %, since many windows are tested
_DAY = np.timedelta64(86_400_000_000, "us")


@dataclass(frozen=True)
class LabelledPredictions:
    """Labels of posts, with `posted_at`, and a model's predictions for them, with intervals.

    `in_distribution` (rows,) marks posts like the training posts; None if the model cannot tell.
    """

    labels: Labels
    predictions: PredictionBatch
    in_distribution: Bools | None = None

    def take(self, rows: npt.NDArray[np.int64]) -> LabelledPredictions:
        """Select posts by row index."""
        in_distribution = None if self.in_distribution is None else self.in_distribution[rows]
        return LabelledPredictions(self.labels.take(rows), self.predictions.take(rows), in_distribution)

    @property
    def posted_at(self) -> npt.NDArray[np.datetime64]:
        """Posting time of each post, (rows,)."""
        assert self.labels.posted_at is not None, "drift needs the posting times"
        return self.labels.posted_at


@dataclass(frozen=True)
class DriftWindow:
    """The posts of some days.

    Attributes:
        first: posting time of the first post, ISO 8601, UTC.
        last: posting time of the last post.
        posts: number of posts.
        authors: number of authors.
        metrics: with intervals by author: `predicted` (mean probability), `happened` (fraction that was viral),
            `calibration` (the first minus the second), `ece`, `coverage`, `roc_auc`, `residual` (mean of label minus
            score) and, for a calibrated model, `unknown` (fraction out of distribution); `figures` in JSON.
    """

    first: str
    last: str
    posts: int
    authors: int
    metrics: dict[str, Estimate]

    @property
    def days(self) -> str:
        """The first and the last day, as text."""
        return f"{self.first[:10]} to {self.last[:10]}"

    @property
    def is_large_enough(self) -> bool:
        """Whether it has enough posts and authors for an alarm."""
        return self.posts >= MIN_POSTS and self.authors >= MIN_AUTHORS


@dataclass(frozen=True)
class Drift:
    """All windows, oldest first, all posts as one window, and the alarms of any of them."""

    windows: tuple[DriftWindow, ...]
    whole: DriftWindow
    alarms: tuple[Alarm, ...]


def drift(
    posts: LabelledPredictions,
    limits: AlarmLimits,
    *,
    every: float = 7,
    reference: Estimate | None = None,
    resamples: int = 200,
) -> Drift:
    """Evaluate a model on posts newer than its labels.

    Args:
        posts: at least one post.
        limits: of the alarms.
        every: days per window, from the first post on; windows that are too small are merged with the next.
        reference: ROC-AUC of the scorecard; None: no alarm for ROC-AUC.
        resamples: bootstrap resamples of whole authors; 200 as the intervals only have to clear a limit.
    """
    windows = tuple(_window(posts.take(rows), resamples) for rows in split_into_windows(posts, every))
    # A single window is the whole: computed, and tested, once.
    whole = windows[0] if len(windows) == 1 else _window(posts, resamples)
    tested = windows if whole in windows else (*windows, whole)
    alarms = [alarm for window in tested if window.is_large_enough for alarm in _alarms(window, limits, reference)]
    return Drift(windows, whole, tuple(alarms))


def split_into_windows(posts: LabelledPredictions, every: float) -> list[npt.NDArray[np.int64]]:
    """Return the rows of each window, oldest first; a rest that is too small joins the last window."""
    # Windows count from the first post, not from a calendar day.
    codes = ((posts.posted_at - posts.posted_at.min()) / _DAY) // every
    windows: list[npt.NDArray[np.int64]] = []
    rows: npt.NDArray[np.int64] = np.empty(0, np.int64)
    for code in np.unique(codes):
        rows = np.concatenate([rows, np.flatnonzero(codes == code)])
        if len(rows) >= MIN_POSTS and len(np.unique(posts.labels.authors[rows])) >= MIN_AUTHORS:
            windows.append(rows)
            # Empty again; a window that is too small keeps its rows for the next.
            rows = rows[:0]
    if len(rows):
        windows.append(np.concatenate([windows.pop(), rows]) if windows else rows)
    return windows


def _window(posts: LabelledPredictions, resamples: int) -> DriftWindow:
    return DriftWindow(
        first=_iso(posts.posted_at.min()),
        last=_iso(posts.posted_at.max()),
        posts=len(posts.labels.y),
        authors=len(np.unique(posts.labels.authors)),
        metrics=_metrics(posts, AuthorBootstrap(posts.labels.authors, resamples, level=LEVEL)),
    )


def _iso(time: np.datetime64) -> str:
    return f"{np.datetime_as_string(time, unit='s')}+00:00"


def _metrics(posts: LabelledPredictions, bootstrap: AuthorBootstrap) -> dict[str, Estimate]:
    author_sums = AuthorSums.from_columns(_columns(posts), bootstrap.author_index)
    ranked = RankedProbability.from_probabilities(
        posts.predictions.probability,
        posts.labels.is_viral,
        bootstrap.author_index,
        fixed_tie_breaker(len(posts.labels.y)),
    )

    def measure(counts: Floats) -> Columns:
        """Metrics (resamples,) of posts weighted by `counts` (resamples, authors)."""
        totals = author_sums.resample(counts)
        metrics = {name: totals[name] / totals["rows"] for name in _MEANS if name in totals}
        metrics["calibration"] = metrics["predicted"] - metrics["happened"]
        metrics["ece"] = sums.classification(totals)["ece"]
        return metrics | {"roc_auc": np.array([ranked.metrics(resample)["roc_auc"] for resample in counts])}

    with np.errstate(divide="ignore", invalid="ignore"):
        # Every author once: the metrics of the posts themselves.
        values = {name: float(column[0]) for name, column in measure(np.ones((1, bootstrap.num_authors))).items()}
        resampled = measure(np.stack([bootstrap.counts(index) for index in range(bootstrap.resamples)]))
    estimates = {
        name: bootstrap.estimate(value if np.isfinite(value) else None, resampled[name])
        for name, value in values.items()
    }
    return _widen(estimates, len(posts.labels.y))


_MEANS = ("predicted", "happened", "coverage", "residual", "unknown")


def _columns(posts: LabelledPredictions) -> Columns:
    """Columns (rows,) whose sums give the metrics."""
    y, low, high = posts.labels.y, posts.predictions.low, posts.predictions.high
    assert low is not None and high is not None, "drift needs intervals"
    columns = sums.classification_columns(posts.labels.is_viral, posts.predictions.probability, 0.5)  # the threshold
    columns |= {
        "predicted": posts.predictions.probability,
        "happened": posts.labels.is_viral.astype(np.float64),
        "coverage": ((low <= y) & (y <= high)).astype(np.float64),
        "residual": y - posts.predictions.score,
    }
    return columns | ({} if posts.in_distribution is None else {"unknown": (~posts.in_distribution).astype(np.float64)})


def _widen(estimates: dict[str, Estimate], posts: int) -> dict[str, Estimate]:
    """Widen the intervals of fractions to the exact binomial ones.

    If all posts agree (30 of 30 covered), so do all resamples, and the interval of the bootstrap would have no width.
    """
    fractions = {name: estimates[name] for name in ("happened", "coverage", "unknown") if name in estimates}
    exact = {name: _exact(estimate, posts) for name, estimate in fractions.items()}
    happened, calibration = exact["happened"], estimates["calibration"]
    # The mean probability has no binomial error: the gap is as uncertain as the fraction that was viral.
    predicted = estimates["predicted"].value or 0.0
    gap = Estimate(calibration.value, predicted - (happened.high or 0.0), predicted - (happened.low or 0.0))
    wider = {name: _union(fractions[name], interval) for name, interval in exact.items()}
    return estimates | wider | {"calibration": _union(calibration, gap)}


def _exact(fraction: Estimate, posts: int) -> Estimate:
    """Interval of Clopper and Pearson 1934 (https://doi.org/10.1093/biomet/26.4.404)."""
    from scipy.stats import binomtest

    ends = binomtest(round((fraction.value or 0.0) * posts), posts).proportion_ci(LEVEL, method="exact")
    return Estimate(fraction.value, float(ends.low), float(ends.high))


def _union(estimate: Estimate, interval: Estimate) -> Estimate:
    lows = [low for low in (estimate.low, interval.low) if low is not None]
    highs = [high for high in (estimate.high, interval.high) if high is not None]
    return replace(estimate, low=min(lows), high=max(highs))


def _alarms(window: DriftWindow, limits: AlarmLimits, reference: Estimate | None) -> Iterator[Alarm]:
    for metric, sentence in beyond_limits(window.metrics, limits, reference):
        yield Alarm(metric, window.first, window.last, f"Posts of {window.days}: {sentence}.")
