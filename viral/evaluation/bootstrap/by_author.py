"""How far a figure could be off: the bootstrap by author.

An author's posts rise and fall together, so that whole authors are drawn, with all their posts. Drawing single posts
gives intervals several times too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Replicates = dict[str, Floats]

_LEAST_DEFINED = 0.5
"""Share of the resamples in which a figure must be defined for it to have an interval."""


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval it could lie in; None where it is undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class AuthorBootstrap:
    """Draws authors with replacement. The same seed draws the same authors, for any model: differences are paired.

    Attributes:
        authors: a code for each row, (rows,); equal codes are one author.
        resamples: how many times to draw.
        seed: where the draws begin.
        level: the share of the replicates that an interval holds.
    """

    authors: npt.NDArray[np.int64]
    resamples: int = 1000
    seed: int = 0
    level: float = 0.9

    @cached_property
    def places(self) -> Rows:
        """Which of the distinct authors each row is of, (rows,)."""
        places: Rows = np.unique(self.authors, return_inverse=True)[1]
        return places

    @cached_property
    def people(self) -> int:
        """How many distinct authors there are."""
        return int(self.places.max()) + 1

    def counts(self, resample: int) -> Floats:
        """How often one resample holds each of the distinct authors, (people,), whole numbers.

        Each resample has a generator of its own, so that they may be drawn in any order, by several threads.
        """
        drawn = np.random.default_rng([self.seed, resample]).integers(self.people, size=self.people)
        return np.bincount(drawn, minlength=self.people).astype(np.float64)

    def draws(self) -> Iterator[Rows]:
        """The rows of each resample, ascending, a row as often as its author was drawn."""
        rows = np.arange(len(self.authors))
        for resample in range(self.resamples):
            yield np.repeat(rows, self.counts(resample)[self.places].astype(np.int64))

    def replicates(self, figures: Callable[[Rows], Mapping[str, float | None]]) -> Replicates:
        """Every figure of each resample, (resamples,), NaN where it was undefined.

        Args:
            figures: from the rows of a resample (some repeated) to its figures by name.
        """
        rows = [figures(drawn) for drawn in self.draws()]
        names = rows[0] if rows else {}
        return {name: np.array([_nan(row[name]) for row in rows]) for name in names}

    def estimate(self, value: float | None, replicates: Floats) -> Estimate:
        """The percentile interval of one figure, widened to hold the figure itself.

        It may not by its own: a resample repeats posts, which pulls some figures (calibration error) to one side.
        """
        defined = replicates[np.isfinite(replicates)]
        if value is None or len(defined) < max(1, _LEAST_DEFINED * len(replicates)):
            return Estimate(value)
        low, high = np.quantile(defined, [(1 - self.level) / 2, (1 + self.level) / 2])
        return Estimate(value, min(float(low), value), max(float(high), value))

    def interval(self, figure: Callable[[Rows], float | None]) -> Estimate:
        """A figure of all rows, with its interval."""
        replicates = self.replicates(lambda rows: {"figure": figure(rows)})["figure"]
        return self.estimate(figure(np.arange(len(self.authors))), replicates)

    def difference(self, one: Callable[[Rows], float | None], other: Callable[[Rows], float | None]) -> Estimate:
        """How much higher a figure is for `one` model than for the `other`, both on the same resamples."""

        def gap(rows: Rows) -> float | None:
            first, second = one(rows), other(rows)
            return None if first is None or second is None else first - second

        return self.interval(gap)


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value
