"""The areas under the ROC and the precision-recall curve, of weighted rows.

They equal scikit-learn's for the same rows repeated (tests hold them to it). Both curves bend at viral rows only.
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
        order: by the probability.
        viral: the viral rows, in this order, (viral rows,).
        last: the last of each group of them with one probability, among the viral rows, (groups,).
        groups: those groups, among the groups of the order, (groups,).
    """

    order: Order
    viral: Rows
    last: Rows
    groups: Rows

    @classmethod
    def of(cls, probability: Floats, is_viral: npt.NDArray[np.bool_], places: Rows, lots: Rows) -> RankedProbability:
        """Sorts by the probability; each (rows,)."""
        order = Order.of(probability, places, lots)
        viral = np.flatnonzero(is_viral[order.rows])
        group = viral if order.group is None else order.group[viral]
        last = np.flatnonzero(np.append(group[1:] != group[:-1], True)) if len(viral) else viral
        return cls(order, viral, last, group[last])

    def figures(self, counts: Floats) -> dict[str, float]:
        """The areas in one resample, NaN where it has one class, from how often it holds each author, (authors,)."""
        weighted = self.order.weigh(counts)
        found = np.cumsum(weighted.weights[self.viral])[self.last]
        viral, total = float(found[-1]) if len(found) else 0.0, weighted.total
        if viral in (0, total):
            return {"roc_auc": math.nan, "pr_auc": math.nan}
        here = np.diff(found, prepend=0.0)
        through = weighted.upto[self.order.ends[self.groups]]
        start = self.order.starts[self.groups]
        before = np.where(start > 0, weighted.upto[start - 1], 0.0)
        # Mann and Whitney's U, from ranks less their mean: 0 where viral rows lie as high as all rows.
        above = float(here @ (before + through - total)) / 2
        return {
            "roc_auc": 0.5 - above / (viral * (total - viral)),
            "pr_auc": float((here * found) @ (1 / np.maximum(through, 1))) / viral,
        }
