"""Rows sorted once, so that each resample of authors only has to add up its weights.

A resample is a whole number for each author: how often it was drawn. Every row of the author then stands there that
often, beside itself, and what matters of the resample's order is a running sum of those numbers.
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
    """The rows from the highest value to the lowest.

    Attributes:
        rows: of the table, in this order, (rows,).
        places: the author of each, in this order, (rows,).
        ends: the last row of each group of equal values, (groups,).
        group: the group of each row, (rows,); None where no two values are equal.
    """

    rows: Rows
    places: Rows
    ends: Rows
    group: Rows | None

    @classmethod
    def of(cls, values: Floats, places: Rows, lots: Rows) -> Order:
        """Sorts by the values, equals by their lots, lowest first; each (rows,)."""
        rows = np.lexsort((lots, -values))
        changes = values[rows[1:]] != values[rows[:-1]]
        ends = np.append(np.flatnonzero(changes), len(rows) - 1)
        group = np.append(0, np.cumsum(changes)) if len(ends) < len(rows) else None
        return cls(rows, places[rows], ends, group)

    @cached_property
    def starts(self) -> Rows:
        """The first row of each group of equal values, (groups,)."""
        return np.append(0, self.ends[:-1] + 1)

    def weigh(self, counts: Floats) -> Weighted:
        """The order of one resample, from how often it holds each author, (authors,)."""
        weights = counts[self.places]
        # Whole numbers add up several times faster than floats do.
        return Weighted(self, weights, np.cumsum(weights.astype(np.int64)).astype(np.float64))


@dataclass(frozen=True)
class Weighted:
    """An order in one resample.

    Attributes:
        order: of the rows.
        weights: how often each row is there, in this order, (rows,).
        upto: the running sum of the weights, (rows,).
    """

    order: Order
    weights: Floats
    upto: Floats

    @property
    def total(self) -> int:
        """How many rows the resample has, each as often as it is there."""
        return int(self.upto[-1])

    @cached_property
    def through(self) -> Floats:
        """The running sum at the end of each group of equal values, (groups,)."""
        return self.upto if self.order.group is None else self.upto[self.order.ends]

    @cached_property
    def before(self) -> Floats:
        """The running sum before each group of equal values, (groups,)."""
        return np.append(0.0, self.through[:-1])

    @cached_property
    def ranks(self) -> Floats:
        """The rank that the rows of a group share, from the highest down, less the mean of all ranks, (groups,)."""
        ranks: Floats = (self.before + self.through - self.upto[-1]) / 2
        return ranks

    @cached_property
    def sizes(self) -> Floats:
        """How many rows each group has, (groups,)."""
        return self.weights if self.order.group is None else self.through - self.before

    @cached_property
    def spread(self) -> float:
        """The sum of the squared ranks: 0 where all values of the resample are equal, and only there."""
        return float((self.sizes * self.ranks) @ self.ranks)

    def of_rows(self, values: Floats) -> Floats:
        """What each group has, (groups,), for each of its rows, (rows,)."""
        return values if self.order.group is None else values[self.order.group]

    def highest(self, count: int) -> Floats:
        """How often each row is among the first `count`, cut after the last that is, (rows or fewer,)."""
        last = min(int(np.searchsorted(self.upto, count)), len(self.upto) - 1)
        taken = self.weights[: last + 1].copy()
        taken[last] -= max(0.0, self.upto[last] - count)
        return taken
