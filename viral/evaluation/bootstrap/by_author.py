"""Bootstrap by author: confidence intervals of metrics from resampled authors.

Posts of one author are correlated, so whole authors are drawn with all their posts. Drawing single posts gives
intervals several times too narrow.
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

_MIN_DEFINED = 0.5  # share of resamples with a defined metric; with fewer the quantiles describe special cases only


@dataclass(frozen=True)
class Estimate:
    """A metric with its interval; None where undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class AuthorBootstrap:
    """Draws authors with replacement. Equal seeds draw equal authors for every model, so differences are paired.

    Attributes:
        authors: author code of each row, (rows,).
        resamples: number of draws.
        seed: seed of the draws.
        level: share of the replicates inside an interval.
    """

    authors: npt.NDArray[np.int64]
    resamples: int = 1000
    seed: int = 0
    level: float = 0.9

    @cached_property
    def author_index(self) -> Rows:
        """Index of each row's author among the distinct authors, (rows,)."""
        index: Rows = np.unique(self.authors, return_inverse=True)[1]
        return index

    @cached_property
    def num_authors(self) -> int:
        """Number of distinct authors."""
        return int(self.author_index.max()) + 1

    def counts(self, resample: int) -> Floats:
        """How often one resample draws each author, (num_authors,), whole numbers.

        Every resample has its own generator, so threads may draw them in any order.
        """
        drawn = np.random.default_rng([self.seed, resample]).integers(self.num_authors, size=self.num_authors)
        return np.bincount(drawn, minlength=self.num_authors).astype(np.float64)

    def draws(self) -> Iterator[Rows]:
        """Row indices of each resample, ascending, each row repeated as often as its author was drawn."""
        rows = np.arange(len(self.authors))
        for resample in range(self.resamples):
            yield np.repeat(rows, self.counts(resample)[self.author_index].astype(np.int64))

    def replicates(self, metrics: Callable[[Rows], Mapping[str, float | None]]) -> Replicates:
        """Every metric in each resample, (resamples,), NaN where undefined.

        Args:
            metrics: maps the rows of a resample (some repeated) to metrics by name.
        """
        rows = [metrics(drawn) for drawn in self.draws()]
        names = rows[0] if rows else {}
        return {name: np.array([_nan(row[name]) for row in rows]) for name in names}

    def estimate(self, value: float | None, replicates: Floats) -> Estimate:
        """Percentile interval of one metric, widened to contain the metric itself.

        The percentile interval may miss it: resamples repeat posts, which biases some metrics (calibration error).
        """
        defined = replicates[np.isfinite(replicates)]
        if value is None or len(defined) < max(1, _MIN_DEFINED * len(replicates)):
            return Estimate(value)
        low, high = np.quantile(defined, [(1 - self.level) / 2, (1 + self.level) / 2])
        return Estimate(value, min(float(low), value), max(float(high), value))

    def interval(self, metric: Callable[[Rows], float | None]) -> Estimate:
        """A metric of all rows, with its interval."""
        replicates = self.replicates(lambda rows: {"metric": metric(rows)})["metric"]
        return self.estimate(metric(np.arange(len(self.authors))), replicates)

    def difference(self, first: Callable[[Rows], float | None], second: Callable[[Rows], float | None]) -> Estimate:
        """The metric of the first model minus that of the second, on the same resamples."""
        return self.interval(lambda rows: subtract(first(rows), second(rows)))


def subtract(first: float | None, second: float | None) -> float | None:
    """First minus second; None if either is undefined."""
    return None if first is None or second is None else first - second


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value
