"""What the stages of a backfill cost per post, learnt from the times that earlier backfills have stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StageCost:
    """Seconds of a stage for one post: `per_post`, and `per_second` of its video."""

    per_post: float
    per_second: float

    def of(self, durations: Floats) -> Floats:
        """Return the seconds for videos of some durations in seconds."""
        return self.per_post + self.per_second * durations


def fit_costs(seconds: Mapping[str, Floats], durations: Floats) -> dict[str, StageCost]:
    """Fit each stage's cost as a line over the duration of the video, by least squares.

    Args:
        seconds: of each stage, the measured seconds of some posts.
        durations: of the videos of the same posts, in seconds.

    Returns:
        The cost of each stage; neither part is negative, and the mean of the fitted costs is the mean of the measured
        ones.
    """
    return {stage: _fit(np.asarray(values, float), durations) for stage, values in seconds.items()}


def _fit(values: Floats, durations: Floats) -> StageCost:
    mean, middle = float(values.mean()), float(durations.mean())
    spread = float(((durations - middle) ** 2).sum())
    slope = float(((durations - middle) * (values - mean)).sum()) / spread if spread else 0.0
    # A line through the means: with a slope of at least 0, and at most one that costs nothing for a video of no length.
    slope = min(max(slope, 0.0), mean / middle if middle else 0.0)
    return StageCost(mean - slope * middle, slope)


def interval(costs: Floats, resamples: int, seed: int = 0) -> tuple[float, float]:
    """Return the bounds that hold the mean of some costs in 90 % of bootstrap samples of the posts."""
    rng = np.random.default_rng(seed)
    means = [rng.choice(costs, costs.size).mean() for _ in range(resamples)]
    low, high = np.quantile(means, [0.05, 0.95])
    return float(low), float(high)


def columns_of(rows: Sequence[Mapping[str, object]]) -> dict[str, Floats]:
    """Turn rows of stage seconds into one array per stage; a stage that a post did not go through took no time."""
    stages = list(dict.fromkeys(stage for row in rows for stage in row))
    return {stage: np.array([row.get(stage, 0.0) for row in rows], float) for stage in stages}
