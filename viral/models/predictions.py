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
        probability: (N,), that a post is viral.
        score: (N,), the median of the label, in the label's units.
        low: (N,), the lower end of the 90 % interval of the score; None for a system without intervals.
        high: (N,), the upper end.
        percentile: (N,), the rank of `probability` among the reference posts, 0 to 100; only after calibration.
        contributions: (N, streams), the share of each input stream; rows sum to 1, absent streams are 0.
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
    def from_quantiles(cls, probability: Floats, quantiles: Floats, **fields: Any) -> Self:
        """Build from `quantiles` (N, 3): lower end, median, upper end."""
        low, score, high = quantiles.T
        return cls(probability, score, low, high, **fields)

    def take(self, rows: npt.NDArray[np.int64]) -> Self:
        """Select posts by row index."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: column[rows] for name, column in columns.items() if column is not None})

    @property
    def quantiles(self) -> Floats:
        """Lower end, median and upper end (N, 3)."""
        assert self.low is not None, "the system predicts no interval"
        assert self.high is not None, "the system predicts no interval"
        return np.stack([self.low, self.score, self.high], axis=1)
