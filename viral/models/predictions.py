"""Predictions of one system for N posts, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PredictionBatch:
    """Predictions for N posts.

    Attributes:
        probability: (N,), P(viral).
        score: (N,), predicted median of the label, in its units.
        low: (N,), lower end of the score's 90 % interval; None for a system without intervals.
        high: (N,), upper end.
        percentile: (N,), rank of `probability` among the reference posts, 0 to 100; set by calibration.
        contributions: (N, streams), fraction per input stream; rows sum to 1, absent streams are 0.
        rates: (N, 3), log rates of likes, comments and shares per view; None if the model does not predict them.
    """

    probability: Floats
    score: Floats
    low: Floats | None = None
    high: Floats | None = None
    percentile: Floats | None = None
    contributions: Floats | None = None
    rates: Floats | None = None

    @classmethod
    def from_quantiles(cls, probability: Floats, quantiles: Floats, **optional: Any) -> Self:
        """Build from `quantiles` (N, 3): lower end, median, upper end."""
        low, score, high = quantiles.T
        return cls(probability, score, low, high, **optional)

    def take(self, rows: npt.NDArray[np.int64]) -> Self:
        """Select posts by row index."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: column[rows] for name, column in columns.items() if column is not None})

    @property
    def quantiles(self) -> Floats:
        """Lower end, median and upper end (N, 3), of a system with intervals."""
        assert self.low is not None
        assert self.high is not None
        return np.stack([self.low, self.score, self.high], axis=1)
