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

_PRIOR = 1.0  # average posts added to each author's history: one viral post must not give a probability of 1


def fit_predict(name: str, inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch | Unavailable:
    """Fit one baseline on the training rows and predict the test rows; equal inputs give equal predictions.

    Args:
        name: one of `BASELINES`.
        inputs: all posts.
        train: rows to fit on, as a mask or as indices.
        test: rows to predict, as a mask or as indices.

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
    """Share of viral posts and mean score of the training posts."""
    count = len(inputs.y[test])
    return PredictionBatch(np.full(count, inputs.is_viral[train].mean()), np.full(count, inputs.y[train].mean()))


def _majority(inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch:
    """Majority class and median score of the training posts: the accuracy to beat.

    An earlier system (E), a convolutional network on the sound, was no better than this.
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
    # Trees would accept a column of NaN, and return the constant baseline under another name.
    for part, rows in (("training", train), ("test", test)):
        if np.isnan(matrix[rows]).all():
            return Unavailable(f"no {part} post has a {noun}")
    return boosting(matrix, inputs, train, test)


def _author_earlier_median(inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch | Unavailable:
    """Median score and share of viral posts of the author's earlier training posts."""
    if inputs.authors is None or inputs.posted_at is None:
        return Unavailable("the corpus has no authors or no posting times")
    median, viral, count = _author_history(inputs, inputs.authors, inputs.posted_at, train, test).T
    if not count.any():
        return Unavailable("no test post has an earlier training post by its author, as in every author-disjoint split")
    rate = inputs.is_viral[train].mean()
    score = np.where(count > 0, median, np.median(inputs.y[train]))
    # An author without history gets the average.
    return PredictionBatch((viral + _PRIOR * rate) / (count + _PRIOR), score)


def _author_history(inputs: Inputs, authors: Ints, posted: Floats, train: Rows, test: Rows) -> Floats:
    """Per test post, of the author's earlier training posts: median score, viral posts, posts; (test rows, 3)."""
    test_authors, test_times = authors[test], posted[test]
    usable = np.flatnonzero(np.isin(authors[train], test_authors) & ~np.isnan(posted[train]))
    # Posts by author, and by time within an author: each history is one slice, and grows from its front.
    order = usable[np.lexsort((posted[train][usable], authors[train][usable]))]
    past_authors, times = authors[train][order], posted[train][order]
    scores, viral = inputs.y[train][order], inputs.is_viral[train][order]
    test_order = np.lexsort((test_times, test_authors))
    distinct, starts = np.unique(test_authors[test_order], return_index=True)
    firsts, ends = (np.searchsorted(past_authors, distinct, side=side) for side in ("left", "right"))
    result = np.zeros((len(test_authors), 3))
    for first, end, rows in zip(firsts, ends, np.split(test_order, starts[1:]), strict=True):
        if first < end:
            past = slice(first, end)
            result[rows] = _statistics_before(times[past], scores[past], viral[past], test_times[rows])
    return result


def _statistics_before(
    times: Floats, scores: Floats, viral: npt.NDArray[np.bool_], test_times: Floats
) -> list[list[float]]:
    """Median score, viral posts and posts of one author before each test time; zeros for a time of NaN.

    All times are ascending, NaN last.
    """
    rows = []
    earlier: list[float] = []
    viral_before = np.concatenate([[0.0], np.cumsum(viral)])
    for count in np.where(np.isnan(test_times), 0, np.searchsorted(times, test_times)):
        # Both times ascend: each earlier post is inserted once.
        for score in scores[len(earlier) : count].tolist():
            insort(earlier, score)
        # `earlier` is sorted: its middle element, or the mean of the middle two, is the median.
        median = (earlier[(count - 1) // 2] + earlier[count // 2]) / 2 if count else 0.0
        rows.append([median, viral_before[count], float(count)])
    return rows


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
"""Baselines by name; the page shows their docstrings."""
