"""What a model must beat: predictions from almost nothing, fitted on the training posts alone."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.errors import ConfigError, TableError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.bool_] | Ints

_TREES = 100
_PRIOR = 1.0
"""How many average posts are added to an author's own before its share of viral ones is taken."""


@dataclass(frozen=True)
class Inputs:
    """What the baselines may look at, for all posts of all parts; each (rows,) unless said. NaN: not known.

    Attributes:
        y: the score that each post reached.
        is_viral: whether it is viral.
        duration: seconds of video.
        followers: the author's followers.
        hour: hour of posting, 0 to 24.
        authors: a code for each author (`splits.author_codes`).
        posted_at: posting time, in any unit that grows.
        metadata: what is known at the moment of posting, (rows, columns).
    """

    y: Floats
    is_viral: npt.NDArray[np.bool_]
    duration: Floats | None = None
    followers: Floats | None = None
    hour: Floats | None = None
    authors: Ints | None = None
    posted_at: Floats | None = None
    metadata: npt.NDArray[np.floating[Any]] | None = None


@dataclass(frozen=True)
class Predicted:
    """For each test post the probability that it is viral and its score, each (test rows,)."""

    probability: Floats
    score: Floats


@dataclass(frozen=True)
class Unavailable:
    """Why a baseline cannot be had from this corpus and split."""

    reason: str


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
    """The class of most training posts, and the median of their scores: what an accuracy has to beat."""
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
    probability = _grow("binary", matrix, inputs.is_viral.astype(np.float64), train).predict(matrix[test])
    score = _grow("regression", matrix, inputs.y, train).predict(matrix[test])
    return Predicted(np.clip(probability, 0, 1), score)


def _grow(objective: str, matrix: Floats, target: Floats, train: Rows) -> Any:
    import lightgbm

    rows = len(target[train])
    settings = {
        "objective": objective,
        "learning_rate": 0.05,
        "num_leaves": 15,
        # 20, LightGBM's own, allows no split at all on a few dozen posts.
        "min_data_in_leaf": int(np.clip(rows // 20, 3, 20)),
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": 0,
        "verbosity": -1,
    }
    return lightgbm.train(settings, lightgbm.Dataset(matrix[train], target[train]), num_boost_round=_TREES)


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
}
"""By name; the docstring of each says what it is."""
