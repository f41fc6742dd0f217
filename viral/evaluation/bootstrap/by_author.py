"""Bootstrap by author: confidence intervals of metrics from resampled authors.

Posts of one author are correlated, so each draw takes an author with all posts. Drawing single posts would give
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
    """Draws authors with replacement. Equal seeds draw the same authors for every model, so differences are paired.

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
        """Return how often one resample draws each author, (num_authors,).

        Each resample has its own generator, so threads may draw resamples in any order.
        """
        # As many draws as there are authors: about a third of them are not drawn, others more than once.
        # Each resample has its own seed: the order in which threads compute them does not matter.
        drawn = np.random.default_rng([self.seed, resample]).integers(self.num_authors, size=self.num_authors)
        return np.bincount(drawn, minlength=self.num_authors).astype(np.float64)

    def draws(self) -> Iterator[Rows]:
        """Yield the ascending row indices of each resample; a row occurs as often as its author was drawn."""
        rows = np.arange(len(self.authors))
        for resample in range(self.resamples):
            yield np.repeat(rows, self.counts(resample)[self.author_index].astype(np.int64))

    def replicates(self, metrics: Callable[[Rows], Mapping[str, float | None]]) -> Replicates:
        """Compute every metric in each resample, (resamples,), NaN where undefined.

        Args:
            metrics: maps the row indices of a resample to metrics by name.
        """
        results = [metrics(rows) for rows in self.draws()]
        names = results[0] if results else {}
        # As a float array, None becomes NaN.
        return {name: np.array([result[name] for result in results], dtype=np.float64) for name in names}

    def estimate(self, value: float | None, replicates: Floats) -> Estimate:
        """Return a metric with its percentile interval, widened to contain the metric.

        Otherwise the interval may miss it: resamples repeat posts, which biases some metrics (calibration error).
        """
        defined = replicates[np.isfinite(replicates)]
        if value is None or len(defined) < max(1, _MIN_DEFINED * len(replicates)):
            return Estimate(value)
        low, high = np.quantile(defined, [(1 - self.level) / 2, (1 + self.level) / 2])
        return Estimate(value, min(float(low), value), max(float(high), value))


def subtract(first: float | None, second: float | None) -> float | None:
    """Return first minus second; None if either is undefined."""
    return None if first is None or second is None else first - second
