"""The figures of a sorted list, of weighted rows: Spearman, NDCG@K, recall@K, precision of the top 20 %.

They equal those of `metrics` for the same rows repeated (tests hold them to it), at a few sums a resample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap.metrics import TOP
from viral.evaluation.bootstrap.order import Floats, Order, Rows, Weighted

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RankedTruth:
    """What became of the posts, sorted once.

    Attributes:
        order: by the score that each post reached.
        viral: 1 where a post is viral, 0 elsewhere, (rows,), as the table has them.
        k: how long the list of the best is, of all rows.
    """

    order: Order
    viral: Floats
    k: int

    def weigh(self, counts: Floats) -> WeightedTruth:
        """The same in one resample, from how often it holds each author, (authors,)."""
        weighted = self.order.weigh(counts)
        return WeightedTruth(weighted, max(1, round(self.k * weighted.total / len(self.viral))))


@dataclass(frozen=True)
class WeightedTruth:
    """What became of the posts of one resample: what all systems are held against. `k` is its length of the list."""

    weighted: Weighted
    k: int

    @cached_property
    def varies(self) -> bool:
        """Whether there are two scores that differ."""
        return self.weighted.spread > 0

    @cached_property
    def ranks(self) -> Floats:
        """Of each row, from the highest score to the lowest, (rows,)."""
        return self.weighted.of_rows(self.weighted.ranks)

    @cached_property
    def best(self) -> int:
        """How many rows are the top 20 %."""
        return max(1, round(TOP * self.weighted.total))

    @cached_property
    def top(self) -> Floats:
        """How often each row is in the top 20 %, from the highest score to the lowest, (rows,)."""
        top, marked = np.zeros(len(self.weighted.weights)), self.weighted.highest(self.best)
        top[: len(marked)] = marked
        return top

    @cached_property
    def discounts(self) -> Floats:
        """The running sum of the weights of the first K places, (K + 1,), from 0."""
        places = np.arange(min(self.k, self.weighted.total))
        return np.append(0.0, np.cumsum(1 / np.log2(places + 2)))

    def gain(self, ranks: Floats) -> Floats:
        """What a row is worth to NDCG: the share of rows that it is not below, equals counting half."""
        return (0.5 + self.weighted.total / 2 - ranks) / self.weighted.total

    @cached_property
    def ideal(self) -> float:
        """The discounted gain of the best order."""
        worth = self.worth(self.weighted)
        return float(worth @ self.gain(self.weighted.ranks[: len(worth)]))

    def worth(self, weighted: Weighted) -> Floats:
        """The discounts of the places that each group of equal rows takes, of the groups that begin within K."""
        count = int(np.searchsorted(weighted.before, len(self.discounts) - 1))
        last = np.minimum(weighted.through[:count], len(self.discounts) - 1)
        return self.discounts[last.astype(np.int64)] - self.discounts[weighted.before[:count].astype(np.int64)]


@dataclass(frozen=True)
class RankedScore:
    """One system's scores, sorted once.

    Attributes:
        order: by the score predicted.
        in_truth: where each row is in the order of the truth, (rows,).
        viral: 1 where a row is viral, 0 elsewhere, in this order, (rows,).
    """

    order: Order
    in_truth: Rows
    viral: Floats

    @classmethod
    def of(cls, score: Floats, places: Rows, lots: Rows, truth: RankedTruth) -> RankedScore:
        """Sorts by the scores predicted, equals by their lots, lowest first; each (rows,)."""
        order = Order.of(score, places, lots)
        return cls(order, np.argsort(truth.order.rows)[order.rows], truth.viral[order.rows])

    def figures(self, counts: Floats, truth: WeightedTruth) -> dict[str, float]:
        """The figures of one resample, NaN where undefined, from how often it holds each author, (authors,)."""
        weighted = self.order.weigh(counts)
        if not weighted.spread:
            return dict.fromkeys(("spearman", "ndcg_at_k", "recall_at_k", "top20_precision"), math.nan)
        figures = {"recall_at_k": self._recall(weighted, truth.k)}
        if not truth.varies:
            return figures | dict.fromkeys(("spearman", "ndcg_at_k", "top20_precision"), math.nan)
        ranks = truth.ranks[self.in_truth]
        together = float((weighted.weights * ranks) @ weighted.of_rows(weighted.ranks))
        spearman = together / math.sqrt(weighted.spread * truth.weighted.spread)
        return figures | {
            "spearman": min(1.0, max(-1.0, spearman)),
            "ndcg_at_k": self._gain(weighted, truth, ranks) / truth.ideal,
            "top20_precision": self._top(weighted, truth),
        }

    def _recall(self, weighted: Weighted, k: int) -> float:
        viral, listed = float(weighted.weights @ self.viral), weighted.highest(k)
        return float(listed @ self.viral[: len(listed)]) / viral if viral else math.nan

    def _gain(self, weighted: Weighted, truth: WeightedTruth, ranks: Floats) -> float:
        """The discounted gain. Rows with equal scores share the mean of their gains, as in scikit-learn."""
        worth = truth.worth(weighted)
        rows = int(self.order.ends[len(worth) - 1]) + 1
        gains = weighted.weights[:rows] * truth.gain(ranks[:rows])
        sums = gains if self.order.group is None else np.add.reduceat(gains, self.order.starts[: len(worth)])
        return float(worth @ (sums / np.maximum(weighted.sizes[: len(worth)], 1)))

    def _top(self, weighted: Weighted, truth: WeightedTruth) -> float:
        marked = weighted.highest(truth.best)
        return float(np.minimum(marked, truth.top[self.in_truth[: len(marked)]]).sum()) / truth.best
