"""Baselines that a model must beat, fitted on the training posts alone."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.errors import ConfigError, TableError
from viral.evaluation.baselines.baseline import Floats, Inputs, Ints, Rows, Unavailable
from viral.evaluation.baselines.shallow import boosting
from viral.evaluation.baselines.systems import system_a, system_b, system_c, system_d
from viral.evaluation.baselines.text import text_linear
from viral.models.predictions import PredictionBatch

__all__ = ["BASELINES", "Inputs", "Unavailable", "fit_predict"]

_PRIOR = 1.0  # average posts added to an author's own: one viral post alone is no probability of 1


def fit_predict(name: str, inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch | Unavailable:
    """Fit one baseline on the training rows and predict the test rows. Deterministic.

    Args:
        name: one of `BASELINES`.
        inputs: all posts.
        train: rows to fit on, as a mask or as indices.
        test: rows to predict.

    Raises:
        ConfigError: unknown baseline.
        TableError: no training rows.
    """
    if name not in BASELINES:
        raise ConfigError(f"baseline {name!r} does not exist: choose from {', '.join(BASELINES)}")
    if not len(inputs.y[train]):
        raise TableError("no training posts for the baselines: choose a split that leaves some")
    return BASELINES[name](inputs, train, test)


def _constant(inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch:
    """The average of the training posts."""
    count = len(inputs.y[test])
    return PredictionBatch(np.full(count, inputs.is_viral[train].mean()), np.full(count, inputs.y[train].mean()))


def _majority(inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch:
    """The majority class of the training posts and the median of their scores: the accuracy to beat.

    An earlier system (E), a convolutional network on the sound, did no better than this.
    """
    count = len(inputs.y[test])
    majority = float(inputs.is_viral[train].mean() > 0.5)
    return PredictionBatch(np.full(count, majority), np.full(count, np.median(inputs.y[train])))


def _duration_only(inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch | Unavailable:
    """Gradient boosting on the length of the video."""
    return _boosted("duration", inputs.duration, inputs, train, test)


def _followers_only(inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch | Unavailable:
    """Gradient boosting on the author's followers."""
    return _boosted("follower count", inputs.followers, inputs, train, test)


def _hour_only(inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch | Unavailable:
    """Gradient boosting on the hour of posting."""
    return _boosted("posting hour", inputs.hour, inputs, train, test)


def _metadata_gbm(inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch | Unavailable:
    """Gradient boosting on everything known at the time of posting except the video."""
    return _boosted("metadata", inputs.metadata, inputs, train, test)


def _boosted(noun: str, columns: Any, inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch | Unavailable:
    if columns is None:
        return Unavailable(f"the corpus has no {noun}")
    matrix = np.asarray(columns, dtype=np.float64).reshape(len(inputs.y), -1)
    for part, rows in (("training", train), ("test", test)):
        if np.isnan(matrix[rows]).all():
            return Unavailable(f"no {part} post has a {noun}")
    return boosting(matrix, inputs, train, test)


def _author_earlier_median(inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch | Unavailable:
    """Median score of the author's earlier training posts, and the share of them that was viral."""
    if inputs.authors is None or inputs.posted_at is None:
        return Unavailable("the corpus has no authors or no posting times")
    median, viral, count = _earlier(inputs, inputs.authors, inputs.posted_at, train, test).T
    if not count.any():
        return Unavailable("no test post has an earlier training post by its author, as in every author-disjoint split")
    rate = inputs.is_viral[train].mean()
    score = np.where(count > 0, median, np.median(inputs.y[train]))
    return PredictionBatch((viral + _PRIOR * rate) / (count + _PRIOR), score)


def _earlier(inputs: Inputs, authors: Ints, posted: Floats, train: Rows, test: Rows) -> Floats:
    """Median score, viral posts and posts among the author's training posts before each test post, (test rows, 3)."""
    test_authors, test_times = authors[test], posted[test]
    usable = np.flatnonzero(np.isin(authors[train], test_authors) & ~np.isnan(posted[train]))
    past = usable[np.lexsort((posted[train][usable], authors[train][usable]))]
    past_authors, times = authors[train][past], posted[train][past]
    scores, viral = inputs.y[train][past], inputs.is_viral[train][past]
    order = np.lexsort((test_times, test_authors))
    distinct, starts = np.unique(test_authors[order], return_index=True)
    firsts, ends = (np.searchsorted(past_authors, distinct, side=side) for side in ("left", "right"))
    result = np.zeros((len(test_authors), 3))
    for first, end, rows in zip(firsts, ends, np.split(order, starts[1:]), strict=True):
        if first < end:
            own = slice(first, end)
            result[rows] = _running(times[own], scores[own], viral[own], test_times[rows])
    return result


def _running(times: Floats, scores: Floats, viral: npt.NDArray[np.bool_], test_times: Floats) -> list[list[float]]:
    """Median, viral posts and posts of one author before each test time, ascending; none before NaN, which is last."""
    rows = []
    earlier: list[float] = []
    viral_before = np.concatenate([[0.0], np.cumsum(viral)])
    for count in np.where(np.isnan(test_times), 0, np.searchsorted(times, test_times)):
        for score in scores[len(earlier) : count].tolist():
            insort(earlier, score)
        rows.append([_median(earlier), viral_before[count], float(count)] if count else [0.0, 0.0, 0.0])
    return rows


def _median(ordered: list[float]) -> float:
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return (low + high) / 2


BASELINES: dict[str, Callable[[Inputs, Rows, Rows], PredictionBatch | Unavailable]] = {
    "constant": _constant,
    "majority": _majority,
    "duration_only": _duration_only,
    "hour_only": _hour_only,
    "followers_only": _followers_only,
    "author_earlier_median": _author_earlier_median,
    "metadata_gbm": _metadata_gbm,
    "text_linear": text_linear,
    "system_a": system_a,
    "system_b": system_b,
    "system_c": system_c,
    "system_d": system_d,
}
"""By name; the page shows the docstring of each."""
