"""Rank metrics of weighted rows: Spearman, NDCG@K, recall@K, top-20 % precision.

They equal the values of `metrics` for repeated rows (tests check this), and need only a few sums per resample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap.metrics import TOP_FRACTION
from viral.evaluation.bootstrap.order import Floats, Order, Rows, WeightedOrder

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RankedLabels:
    """Labels sorted once.

    Attributes:
        order: the rows by actual score.
        viral: 1 for a viral post, else 0, (rows,), unsorted.
        k: length of the top list of all rows; a resample scales it to its own number of rows.
    """

    order: Order
    viral: Floats
    k: int

    def resample(self, counts: Floats) -> WeightedLabels:
        """Return the labels of one resample that draws each author `counts` (authors,) times."""
        weighted = self.order.resample(counts)
        # A resample has more or fewer rows than the posts: K stays the same fraction of them.
        return WeightedLabels(weighted, max(1, round(self.k * weighted.total / len(self.viral))))


@dataclass(frozen=True)
class WeightedLabels:
    """The labels of one resample, shared by all systems. `k` is the length of the top list."""

    weighted: WeightedOrder
    k: int

    @cached_property
    def varies(self) -> bool:
        """Whether any two actual scores differ."""
        return self.weighted.rank_sum_of_squares > 0

    @cached_property
    def ranks(self) -> Floats:
        """Centred rank of each row, from the highest actual score to the lowest, (rows,)."""
        return self.weighted.expand(self.weighted.ranks)

    @cached_property
    def top_count(self) -> int:
        """Number of rows in the top 20 %."""
        return max(1, round(TOP_FRACTION * self.weighted.total))

    @cached_property
    def top_weights(self) -> Floats:
        """How often each row is in the top 20 % of the resample, (rows,); rows by actual score, highest first."""
        weights, head = np.zeros(len(self.weighted.weights)), self.weighted.head(self.top_count)
        weights[: len(head)] = head
        return weights

    @cached_property
    def cumulative_discounts(self) -> Floats:
        """Running sum of the DCG discounts of the first K ranks, (K + 1,), from 0."""
        ranks = np.arange(min(self.k, self.weighted.total))
        return np.append(0.0, np.cumsum(1 / np.log2(ranks + 2)))

    def gain(self, ranks: Floats) -> Floats:
        """Return the NDCG gain of rows: the share of rows that score no higher, with ties counted as half."""
        return (0.5 + self.weighted.total / 2 - ranks) / self.weighted.total

    @cached_property
    def ideal_dcg(self) -> float:
        """DCG of the best order."""
        discounts = self.group_discounts(self.weighted)
        return float(discounts @ self.gain(self.weighted.ranks[: len(discounts)]))

    def group_discounts(self, weighted: WeightedOrder) -> Floats:
        """Sum the discounts of the ranks of each group of equal values, for the groups that begin within K."""
        cumulative = self.cumulative_discounts
        # A group that crosses rank K has the discounts of its ranks up to K.
        count = int(np.searchsorted(weighted.before, len(cumulative) - 1))
        last = np.minimum(weighted.through[:count], len(cumulative) - 1)
        return cumulative[last.astype(np.int64)] - cumulative[weighted.before[:count].astype(np.int64)]


@dataclass(frozen=True)
class RankedScore:
    """One system's scores, sorted once.

    Attributes:
        order: the rows by predicted score.
        label_position: position of each row in the order of the labels, (rows,).
        viral: 1 for a viral row, else 0, in this order, (rows,).
    """

    order: Order
    label_position: Rows
    viral: Floats

    @classmethod
    def from_scores(cls, score: Floats, author_index: Rows, tie_breaker: Rows, labels: RankedLabels) -> RankedScore:
        """Sort by predicted score, descending; equal scores by tie breaker, ascending. Each is (rows,)."""
        order = Order.from_values(score, author_index, tie_breaker)
        return cls(order, np.argsort(labels.order.rows)[order.rows], labels.viral[order.rows])

    def metrics(self, counts: Floats, labels: WeightedLabels) -> dict[str, float]:
        """Return the metrics of one resample, NaN where undefined; `counts` as in `Order.resample`."""
        weighted = self.order.resample(counts)
        # Equal scores everywhere: no rank metric is defined.
        if not weighted.rank_sum_of_squares:
            return dict.fromkeys(("spearman", "ndcg_at_k", "recall_at_k", "top20_precision"), math.nan)
        metrics = {"recall_at_k": self._recall(weighted, labels.k)}
        if not labels.varies:
            return metrics | dict.fromkeys(("spearman", "ndcg_at_k", "top20_precision"), math.nan)
        ranks = labels.ranks[self.label_position]
        covariance = float((weighted.weights * ranks) @ weighted.expand(weighted.ranks))
        variances = weighted.rank_sum_of_squares * labels.weighted.rank_sum_of_squares
        return metrics | {
            # Rounding may carry a perfect correlation beyond 1.
            "spearman": min(1.0, max(-1.0, covariance / math.sqrt(variances))),
            "ndcg_at_k": self._dcg(weighted, labels, ranks) / labels.ideal_dcg,
            "top20_precision": self._top_precision(weighted, labels),
        }

    def _recall(self, weighted: WeightedOrder, k: int) -> float:
        viral, head = float(weighted.weights @ self.viral), weighted.head(k)
        return float(head @ self.viral[: len(head)]) / viral if viral else math.nan

    def _dcg(self, weighted: WeightedOrder, labels: WeightedLabels, ranks: Floats) -> float:
        """DCG in which rows with equal predicted scores get the mean of their gains, as in scikit-learn."""
        discounts = labels.group_discounts(weighted)
        rows = int(self.order.ends[len(discounts) - 1]) + 1
        gains = weighted.weights[:rows] * labels.gain(ranks[:rows])
        sums = gains if self.order.group is None else np.add.reduceat(gains, self.order.starts[: len(discounts)])
        return float(discounts @ (sums / np.maximum(weighted.sizes[: len(discounts)], 1)))

    def _top_precision(self, weighted: WeightedOrder, labels: WeightedLabels) -> float:
        head = weighted.head(labels.top_count)
        return float(np.minimum(head, labels.top_weights[self.label_position[: len(head)]]).sum()) / labels.top_count
