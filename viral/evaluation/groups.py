"""Whether intervals and probabilities hold for every kind of post, not only for all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from viral.evaluation.bootstrap.by_author import AuthorBootstrap, Estimate, Rows
from viral.evaluation.bootstrap.metrics import Bools, Figures, Floats
from viral.evaluation.evaluate import Forecast, Truth
from viral.evaluation.quick_bootstrap import RESAMPLES
from viral.evaluation.report.sections import Group, Grouping

SMALLEST = 20
"""Posts that a group needs to be told apart; smaller ones are put together."""
OTHERS = "others"
UNKNOWN = "unknown"
TIERS = ("under 1k", "1k to 10k", "10k to 100k", "100k to 1M", "over 1M")
_EDGES = (1e3, 1e4, 1e5, 1e6)
_LEAST_AUTHORS = 5
"""Fewer cannot be drawn from: their interval would be narrow for want of authors, not of doubt."""


def tiers(followers: Floats) -> list[str]:
    """The follower tier of each author (rows,); NaN: unknown."""
    place = np.searchsorted(_EDGES, followers, side="right")
    return [TIERS[at] if known else UNKNOWN for at, known in zip(place, np.isfinite(followers), strict=True)]


def grouped(
    by: str,
    names: Sequence[str],
    truth: Truth,
    said: Forecast,
    *,
    order: Sequence[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Grouping:
    """Coverage of the intervals, and mean probability beside what happened, of each group.

    Calibration error in bins is not given: at twenty posts it is far above zero for a perfect model.

    Args:
        by: what the groups are by, in words.
        names: the group of each post, (rows,).
        truth: the test posts.
        said: what the model says of them.
        order: groups in the order wanted; those not named come after, by size.
        resamples: draws of whole authors; `brief.RESAMPLES` at most.
        seed: of the draws.
    """
    merged = _merged(names)
    sizes = Counter(merged)
    ranked = sorted(sizes, key=lambda name: (*_place(order, name), -sizes[name], name))
    draws, column = min(resamples, RESAMPLES), np.array(merged)
    groups = [_group(name, np.flatnonzero(column == name), truth, said, draws, seed) for name in ranked]
    return Grouping(by=by, groups=tuple(groups))


def _merged(names: Sequence[str]) -> list[str]:
    """With one name for all groups that are too small; a single one keeps its own."""
    small = {name for name, count in Counter(names).items() if count < SMALLEST}
    return [OTHERS if name in small else name for name in names] if len(small) > 1 else list(names)


def _place(order: Sequence[str], name: str) -> tuple[bool, bool, int]:
    return name in (UNKNOWN, OTHERS), name == OTHERS, order.index(name) if name in order else len(order)


def _group(name: str, rows: Rows, truth: Truth, said: Forecast, resamples: int, seed: int) -> Group:
    authors, viral, probability = truth.authors[rows], truth.is_viral[rows], said.probability[rows]
    inside = _inside(truth, said, rows)

    def measure(drawn: Rows) -> Figures:
        gap = float(probability[drawn].mean() - viral[drawn].mean())
        return {"gap": gap, "coverage": None if inside is None else float(inside[drawn].mean())}

    count = len(np.unique(authors))
    enough = len(rows) >= SMALLEST and count >= _LEAST_AUTHORS
    bootstrap = AuthorBootstrap(authors, resamples if enough else 0, seed)
    drawn = bootstrap.replicates(measure)
    told = {
        key: bootstrap.estimate(value, drawn[key]) if drawn else Estimate(value)
        for key, value in measure(np.arange(len(rows))).items()
    }
    return Group(
        name=name,
        posts=len(rows),
        authors=count,
        coverage=None if inside is None else told["coverage"],
        predicted=float(probability.mean()),
        happened=float(viral.mean()),
        gap=told["gap"],
    )


def _inside(truth: Truth, said: Forecast, rows: Rows) -> Bools | None:
    """Whether each score lies within its interval, its ends counted in."""
    if said.low is None or said.high is None:
        return None
    y = truth.y[rows]
    inside: Bools = (said.low[rows] <= y) & (y <= said.high[rows])
    return inside
