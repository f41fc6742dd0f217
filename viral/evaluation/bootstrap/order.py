"""Rows sorted once for all resamples of authors.

The weight of a row is how often a resample draws its author. All rank metrics of a resample follow from the running
sum of the weights in the sorted order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Order:
    """Rows from the highest value to the lowest.

    Attributes:
        rows: row indices in this order, (rows,).
        author_index: author of each row, in this order, (rows,).
        ends: last row of each group of equal values, (groups,).
        group: group of each row, (rows,); None if all values differ.
    """

    rows: Rows
    author_index: Rows
    ends: Rows
    group: Rows | None

    @classmethod
    def from_values(cls, values: Floats, author_index: Rows, tie_breaker: Rows) -> Order:
        """Sort by value, descending; equal values by tie breaker, ascending. Each argument is (rows,)."""
        rows = np.lexsort((tie_breaker, -values))
        changes = values[rows[1:]] != values[rows[:-1]]
        ends = np.append(np.flatnonzero(changes), len(rows) - 1)
        group = np.append(0, np.cumsum(changes)) if len(ends) < len(rows) else None
        return cls(rows, author_index[rows], ends, group)

    @cached_property
    def starts(self) -> Rows:
        """First row of each group of equal values, (groups,)."""
        return np.append(0, self.ends[:-1] + 1)

    def resample(self, counts: Floats) -> WeightedOrder:
        """Return the order of one resample that draws each author `counts` (authors,) times."""
        weights = counts[self.author_index]
        # numpy sums integers several times faster than floats.
        return WeightedOrder(self, weights, np.cumsum(weights.astype(np.int64)).astype(np.float64))


@dataclass(frozen=True)
class WeightedOrder:
    """An order in one resample.

    Attributes:
        order: the sorted rows.
        weights: how often the resample contains each row, in this order, (rows,).
        cumulative: running sum of the weights, (rows,).
    """

    order: Order
    weights: Floats
    cumulative: Floats

    @property
    def total(self) -> int:
        """Number of rows in the resample, repeats included."""
        return int(self.cumulative[-1])

    @cached_property
    def through(self) -> Floats:
        """Running sum at the end of each group of equal values, (groups,)."""
        return self.cumulative if self.order.group is None else self.cumulative[self.order.ends]

    @cached_property
    def before(self) -> Floats:
        """Running sum before each group of equal values, (groups,)."""
        return np.append(0.0, self.through[:-1])

    @cached_property
    def ranks(self) -> Floats:
        """Rank of each group of equal values, from the highest value down, minus the mean rank, (groups,)."""
        ranks: Floats = (self.before + self.through - self.cumulative[-1]) / 2
        return ranks

    @cached_property
    def sizes(self) -> Floats:
        """Number of rows in each group, (groups,)."""
        return self.weights if self.order.group is None else self.through - self.before

    @cached_property
    def rank_sum_of_squares(self) -> float:
        """Sum of the squared centred ranks of all rows; 0 only if all values of the resample are equal."""
        return float((self.sizes * self.ranks) @ self.ranks)

    def expand(self, values: Floats) -> Floats:
        """Repeat values per group, (groups,), for each row, (rows,)."""
        return values if self.order.group is None else values[self.order.group]

    def head(self, count: int) -> Floats:
        """Return how often each row is among the first `count`, (rows,), cut after the last such row."""
        # A resample may have fewer rows than are asked for.
        last = min(int(np.searchsorted(self.cumulative, count)), len(self.cumulative) - 1)
        weights = self.weights[: last + 1].copy()
        # Only some repeats of the last row may be among the first `count`.
        weights[last] -= max(0.0, self.cumulative[last] - count)
        return weights
