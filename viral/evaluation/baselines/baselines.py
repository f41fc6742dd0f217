"""What a model must beat: predictions from almost nothing, fitted on the training posts alone."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.errors import ConfigError, TableError
from viral.evaluation.baselines.baseline import Floats, Inputs, Ints, Predicted, Rows, Unavailable
from viral.evaluation.baselines.shallow import grow
from viral.evaluation.baselines.systems import system_a, system_b, system_c, system_d
from viral.evaluation.baselines.text import text_linear

__all__ = ["BASELINES", "Inputs", "Predicted", "Unavailable", "fit_predict"]

_PRIOR = 1.0
"""How many average posts are added to an author's own before its share of viral ones is taken."""


def fit_predict(name: str, inputs: Inputs, train: Rows, test: Rows) -> Predicted | Unavailable:
    """Fits one baseline on the training rows and applies it to the test rows. The same inputs give the same answer.

    Args:
        name: one of `BASELINES`.
        inputs: all posts.
        train: rows to learn from, as a mask or as positions.
        test: rows to predict.

    Raises:
        ConfigError: there is no such baseline.
        TableError: there is nothing to learn from.
    """
    if name not in BASELINES:
        raise ConfigError(f"baseline {name!r} does not exist: choose of {', '.join(BASELINES)}")
    if not len(inputs.y[train]):
        raise TableError("no training posts for the baselines: choose a split that leaves some")
    return BASELINES[name](inputs, train, test)


def _constant(inputs: Inputs, train: Rows, test: Rows) -> Predicted:
    """The average of the training posts."""
    count = len(inputs.y[test])
    return Predicted(np.full(count, inputs.is_viral[train].mean()), np.full(count, inputs.y[train].mean()))


def _majority(inputs: Inputs, train: Rows, test: Rows) -> Predicted:
    """The class of most training posts, and the median of their scores: what an accuracy has to beat.

    An earlier system (E), convolution over the sound, got no further than this.
    """
    count = len(inputs.y[test])
    mostly = float(inputs.is_viral[train].mean() > 0.5)
    return Predicted(np.full(count, mostly), np.full(count, np.median(inputs.y[train])))


def _duration_only(inputs: Inputs, train: Rows, test: Rows) -> Predicted | Unavailable:
    """Gradient boosting on the length of the video."""
    return _boosted("duration", inputs.duration, inputs, train, test)


def _followers_only(inputs: Inputs, train: Rows, test: Rows) -> Predicted | Unavailable:
    """Gradient boosting on the author's followers."""
    return _boosted("follower count", inputs.followers, inputs, train, test)


def _hour_only(inputs: Inputs, train: Rows, test: Rows) -> Predicted | Unavailable:
    """Gradient boosting on the hour of posting."""
    return _boosted("posting hour", inputs.hour, inputs, train, test)


def _metadata_gbm(inputs: Inputs, train: Rows, test: Rows) -> Predicted | Unavailable:
    """Gradient boosting on all that is known at the moment of posting, the video aside."""
    return _boosted("metadata", inputs.metadata, inputs, train, test)


def _boosted(noun: str, columns: Any, inputs: Inputs, train: Rows, test: Rows) -> Predicted | Unavailable:
    if columns is None:
        return Unavailable(f"the corpus has no {noun}")
    matrix = np.asarray(columns, dtype=np.float64).reshape(len(inputs.y), -1)
    for part, rows in (("training", train), ("test", test)):
        if np.isnan(matrix[rows]).all():
            return Unavailable(f"no {part} post has a {noun}")
    probability = grow("binary", matrix, inputs.is_viral.astype(np.float64), train).predict(matrix[test])
    score = grow("regression", matrix, inputs.y, train).predict(matrix[test])
    return Predicted(np.clip(probability, 0, 1), score)


def _author_earlier_median(inputs: Inputs, train: Rows, test: Rows) -> Predicted | Unavailable:
    """The median of what the author's earlier training posts reached, and their share of viral ones."""
    if inputs.authors is None or inputs.posted_at is None:
        return Unavailable("the corpus has no authors or no posting times")
    median, viral, count = _earlier(inputs, inputs.authors, inputs.posted_at, train, test).T
    if not count.any():
        return Unavailable("no test post has an earlier training post by its author, as in every author-disjoint split")
    rate = inputs.is_viral[train].mean()
    score = np.where(count > 0, median, np.median(inputs.y[train]))
    return Predicted((viral + _PRIOR * rate) / (count + _PRIOR), score)


def _earlier(inputs: Inputs, authors: Ints, posted: Floats, train: Rows, test: Rows) -> Floats:
    """Before each test post, in its author's training posts: median score, viral posts, posts. (test rows, 3)."""
    asked, moments = authors[test], posted[test]
    known = np.flatnonzero(np.isin(authors[train], asked) & ~np.isnan(posted[train]))
    past = known[np.lexsort((posted[train][known], authors[train][known]))]
    owners, times = authors[train][past], posted[train][past]
    scores, viral = inputs.y[train][past], inputs.is_viral[train][past]
    order = np.lexsort((moments, asked))
    names, starts = np.unique(asked[order], return_index=True)
    edges = zip(np.searchsorted(owners, names), np.searchsorted(owners, names, side="right"), strict=True)
    result = np.zeros((len(asked), 3))
    for (first, end), rows in zip(edges, np.split(order, starts[1:]), strict=True):
        if first < end:
            own = slice(first, end)
            result[rows] = _running(times[own], scores[own], viral[own], moments[rows])
    return result


def _running(times: Floats, scores: Floats, viral: npt.NDArray[np.bool_], moments: Floats) -> list[list[float]]:
    """One author: median, viral posts and posts before each of the growing moments. NaN, which sorts last, has none."""
    rows = []
    seen: list[float] = []
    wins = np.concatenate([[0.0], np.cumsum(viral)])
    for upto in np.where(np.isnan(moments), 0, np.searchsorted(times, moments)):
        for score in scores[len(seen) : upto].tolist():
            insort(seen, score)
        rows.append([_median(seen), wins[upto], float(upto)] if upto else [0.0, 0.0, 0.0])
    return rows


def _median(ordered: list[float]) -> float:
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return (low + high) / 2


BASELINES: dict[str, Callable[[Inputs, Rows, Rows], Predicted | Unavailable]] = {
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
"""By name; the docstring of each says what it is."""
