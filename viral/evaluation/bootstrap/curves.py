"""Areas under the ROC and the precision-recall curve of weighted rows.

They equal scikit-learn's areas for repeated rows (tests check this). Both need sums at viral rows only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap.order import Floats, Order, Rows


@dataclass(frozen=True)
class RankedProbability:
    """One system's probabilities, sorted once.

    Attributes:
        order: the rows, by probability.
        viral: positions of the viral rows in this order, (viral rows,).
        group_last: index into `viral` of the last viral row of each group of equal probabilities, (groups,).
        groups: index of these groups among all groups of the order, (groups,).
    """

    order: Order
    viral: Rows
    group_last: Rows
    groups: Rows

    @classmethod
    def from_probabilities(
        cls, probability: Floats, is_viral: npt.NDArray[np.bool_], author_index: Rows, tie_breaker: Rows
    ) -> RankedProbability:
        """Sort by probability; every argument is (rows,)."""
        order = Order.from_values(probability, author_index, tie_breaker)
        viral = np.flatnonzero(is_viral[order.rows])
        # Both areas change only at viral rows, which are few: all sums run over these alone.
        group = viral if order.group is None else order.group[viral]
        last = np.flatnonzero(np.append(group[1:] != group[:-1], True)) if len(viral) else viral
        return cls(order, viral, last, group[last])

    def metrics(self, counts: Floats) -> dict[str, float]:
        """Return both areas in one resample, NaN if it has one class only; `counts` as in `Order.resample`."""
        weighted = self.order.resample(counts)
        hits = np.cumsum(weighted.weights[self.viral])[self.group_last]
        viral, total = float(hits[-1]) if len(hits) else 0.0, weighted.total
        if viral in (0, total):
            return {"roc_auc": math.nan, "pr_auc": math.nan}
        # Viral rows of each group of equal probabilities, and the rows before and up to it.
        group_hits = np.diff(hits, prepend=0.0)
        through = weighted.cumulative[self.order.ends[self.groups]]
        start = self.order.starts[self.groups]
        before = np.where(start > 0, weighted.cumulative[start - 1], 0.0)
        # Mann-Whitney U from centred ranks: 0 if viral rows rank as high as all rows on average.
        above = float(group_hits @ (before + through - total)) / 2
        return {
            "roc_auc": 0.5 - above / (viral * (total - viral)),
            # Average precision: the precision at each group, weighted by the recall that it adds.
            "pr_auc": float((group_hits * hits) @ (1 / np.maximum(through, 1))) / viral,
        }
