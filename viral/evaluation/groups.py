"""Calibration and interval coverage per group of posts, for example by language or by followers of the author."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from viral.evaluation.bootstrap.by_author import AuthorBootstrap, Estimate, Rows
from viral.evaluation.bootstrap.metrics import Bools, Floats, Metrics
from viral.evaluation.labels import Labels
from viral.evaluation.quick_bootstrap import RESAMPLES
from viral.evaluation.report.sections import Group, Grouping
from viral.models.predictions import PredictionBatch

MIN_POSTS = 20  # smaller groups are merged into `OTHERS`: their intervals would be too wide to say anything
OTHERS = "others"
UNKNOWN = "unknown"
TIERS = ("under 1k", "1k to 10k", "10k to 100k", "100k to 1M", "over 1M")
_EDGES = (1e3, 1e4, 1e5, 1e6)
_MIN_AUTHORS = 5  # with fewer the bootstrap interval is too narrow, since all draws have nearly the same authors


def follower_tiers(followers: Floats) -> list[str]:
    """Return the follower tier of each author (rows,); NaN: unknown."""
    tiers = np.searchsorted(_EDGES, followers, side="right")
    return [TIERS[tier] if finite else UNKNOWN for tier, finite in zip(tiers, np.isfinite(followers), strict=True)]


def group_calibration(
    by: str,
    names: Sequence[str],
    labels: Labels,
    predictions: PredictionBatch,
    *,
    order: Sequence[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Grouping:
    """Compute interval coverage, mean probability and share of viral posts of each group.

    No binned calibration error: on twenty posts it is far above zero for a perfect model.

    Args:
        by: property by which the posts are grouped, in words.
        names: group of each post, (rows,).
        labels: the test posts.
        predictions: the model's predictions.
        order: groups that come first, in this order; the others follow by size.
        resamples: draws of whole authors, at most `quick_bootstrap.RESAMPLES`.
        seed: seed of the draws.
    """
    merged = _merge_small(names)
    sizes = Counter(merged)
    ranked = sorted(sizes, key=lambda name: (*_sort_key(order, name), -sizes[name], name))
    draws, column = min(resamples, RESAMPLES), np.array(merged)
    groups = [_group(name, np.flatnonzero(column == name), labels, predictions, draws, seed) for name in ranked]
    return Grouping(by=by, groups=tuple(groups))


def _merge_small(names: Sequence[str]) -> list[str]:
    """Rename all small groups to `OTHERS`; a single small group keeps its name."""
    # One small group alone would only change its name.
    small = {name for name, count in Counter(names).items() if count < MIN_POSTS}
    return [OTHERS if name in small else name for name in names] if len(small) > 1 else list(names)


def _sort_key(order: Sequence[str], name: str) -> tuple[bool, bool, int]:
    # Named groups first, then the unknown, and the rest last.
    return name in (UNKNOWN, OTHERS), name == OTHERS, order.index(name) if name in order else len(order)


def _group(name: str, rows: Rows, labels: Labels, predictions: PredictionBatch, resamples: int, seed: int) -> Group:
    authors, viral, probability = labels.authors[rows], labels.is_viral[rows], predictions.probability[rows]
    covered: Bools | None = None
    if predictions.low is not None and predictions.high is not None:
        covered = (predictions.low[rows] <= labels.y[rows]) & (labels.y[rows] <= predictions.high[rows])

    def measure(drawn: Rows) -> Metrics:
        """Metrics of the rows that were drawn, with repetitions."""
        gap = float(probability[drawn].mean() - viral[drawn].mean())
        return {"gap": gap, "coverage": None if covered is None else float(covered[drawn].mean())}

    count = len(np.unique(authors))
    enough = len(rows) >= MIN_POSTS and count >= _MIN_AUTHORS
    # A group that is too small has its metrics, but no interval.
    bootstrap = AuthorBootstrap(authors, resamples if enough else 0, seed)
    resampled = bootstrap.replicates(measure)
    estimates = {
        metric: bootstrap.estimate(value, resampled[metric]) if resampled else Estimate(value)
        for metric, value in measure(np.arange(len(rows))).items()
    }
    return Group(
        name=name,
        posts=len(rows),
        authors=count,
        coverage=None if covered is None else estimates["coverage"],
        predicted=float(probability.mean()),
        observed=float(viral.mean()),
        gap=estimates["gap"],
    )
