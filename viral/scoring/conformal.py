"""Conformal intervals that treat the author, not the post, as the unit, with shifts by predicted level.

Conformalised quantile regression (Romano et al. 2019, https://arxiv.org/abs/1905.03222) with weighted posts. The
lower and the upper end move apart by quantiles of the errors, one in each tail. Few effective posts move them further:
the coverage that comes true varies with the draw of authors, and is to hold in most draws, not only on average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.scoring.author_weights import author_weights

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVEL = 0.9  # nominal coverage of the intervals
ONE_SIDED_FROM = 40  # effective posts: two lie in each 5 % tail; with fewer, both ends move by the same shift
CAUTION = 0.2  # standard deviations of the coverage by which it is raised; nine draws of ten stay above 0.85
HIGHEST = 0.93  # coverage that is aimed at at most: wider intervals would be honest, but say nothing
GROUPS = 3  # low, middle and high predictions, of as many posts each
GROUP_FROM = 45  # effective posts of a group: two lie in each tail; with fewer, it gets the wider of its own and of all
SMALLEST_GROUP = 30  # effective posts: with fewer, its own tail is one post, and there are no groups


@dataclass(frozen=True)
class Shifts:
    """Shifts of the ends of an interval, outwards (inwards if negative).

    Attributes:
        below: of the lower end, downwards.
        above: of the upper end, upwards.
        levels: by predicted score: the middle of each group, with its shifts; linear in between, constant outside.
            Empty if the groups are too small.
        effective: effective number of posts.
    """

    below: float
    above: float
    levels: tuple[tuple[float, float, float], ...]
    effective: float


def fit_shifts(quantiles: Floats, y: Floats, authors: Ints) -> Shifts:
    """Fit on posts that the model was not trained on: raw `quantiles` (N, 3), labels `y` (N,), `authors` (N,)."""
    weights = author_weights(y - quantiles[:, 1], authors)
    low, high = quantiles[:, 0] - y, y - quantiles[:, 2]
    effective = float(weights.sum())
    below, above = _ends(low, high, weights, careful_level(effective))
    return Shifts(below, above, _levels(low, high, weights, quantiles[:, 1]), effective)


def _levels(low: Floats, high: Floats, weights: Floats, score: Floats) -> tuple[tuple[float, float, float], ...]:
    """Shifts by predicted score, as in `Shifts`; empty if a group would be too small."""
    edges = np.unique(weighted_quantiles(score, weights, np.arange(1, GROUPS) / GROUPS))
    groups = np.searchsorted(edges, score, side="right")
    rows = [groups == group for group in np.unique(groups)]
    if len(rows) < 2 or min(weights[mask].sum() for mask in rows) < SMALLEST_GROUP:
        return ()
    common = _ends(low, high, weights, LEVEL)
    levels = []
    for mask in rows:
        own = _ends(low[mask], high[mask], weights[mask], LEVEL)
        if weights[mask].sum() < GROUP_FROM:
            own = max(own[0], common[0]), max(own[1], common[1])
        levels.append((float(np.median(score[mask])), *own))
    return tuple(levels)


def careful_level(effective: float) -> float:
    """Coverage to aim at with that many effective posts: above `LEVEL` if they are few."""
    deviation = float(np.sqrt(LEVEL * (1 - LEVEL) / max(1.0, effective)))
    return min(HIGHEST, LEVEL + CAUTION * deviation)


def conformal_quantile(scores: Floats, weights: Floats, level: float) -> float:
    """Weighted conformal quantile of scores (N,): a new one, of weight 1, is not above it at `level`.

    Linear between two scores, which keeps few posts from overcovering by a whole post; but a score that occurs more
    than once is returned itself, so that ties are covered. The largest, where even that is too low.
    """
    order = np.argsort(scores, kind="stable")
    ascending, cumulative = scores[order], np.cumsum(weights[order])
    target = level * (cumulative[-1] + 1) * (1 - 1e-12)  # against rounding in the sum of the weights
    index = min(int(np.searchsorted(cumulative, target)), len(scores) - 1)
    value, lower = float(ascending[index]), float(ascending[max(0, index - 1)])
    if index == 0 or target > cumulative[-1] or (ascending == value).sum() > 1:
        return value
    part = (target - cumulative[index - 1]) / (cumulative[index] - cumulative[index - 1])
    return lower + float(part) * (value - lower)


def weighted_quantiles(values: Floats, weights: Floats, levels: Floats) -> Floats:
    """Quantiles (Q,) of weighted values (N,): the smallest values whose share of the weight reaches each level."""
    order = np.argsort(values, kind="stable")
    shares = np.cumsum(weights[order]) / weights.sum()
    return np.asarray(values[order[np.minimum(np.searchsorted(shares, levels), len(values) - 1)]])


def _ends(low: Floats, high: Floats, weights: Floats, level: float) -> tuple[float, float]:
    if weights.sum() < ONE_SIDED_FROM:
        shift = conformal_quantile(np.maximum(low, high), weights, level)
        return shift, shift
    # Each tail gets half of what the level leaves.
    tail = (1 + level) / 2
    return conformal_quantile(low, weights, tail), conformal_quantile(high, weights, tail)
