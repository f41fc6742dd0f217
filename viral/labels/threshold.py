"""Which targets belong to the top fraction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from viral.errors import TableError
from viral.labels.columns import Array

SMALLEST_BIN = 20
"""Training posts that a bin needs for a threshold of its own."""


@dataclass(frozen=True)
class Threshold:
    """Targets above `overall` are in the top fraction; in a bin of `bins`, those above the bin's own threshold.

    A threshold is the quantile 1 - f of the training targets (linear between two), and a target must be greater, not
    equal: so never more than the fraction f of the training posts is viral, rounded up to a whole post, and fewer where
    many posts tie at the threshold. A bin with fewer than `SMALLEST_BIN` training posts, with none above its threshold,
    or that no training post is in (a later week, say) goes by `overall`.
    """

    overall: float
    bins: Mapping[str, float] = field(default_factory=dict)

    def above(self, targets: Array, bins: Sequence[str] | None) -> npt.NDArray[np.bool_]:
        """Which targets (N,) are in the top fraction, given the bin of each."""
        if bins is None:
            return targets > self.overall
        limits = np.array([self.bins.get(key, self.overall) for key in bins], dtype=np.float64)
        return targets > limits


def fit_threshold(targets: Array, bins: Sequence[str] | None, top_fraction: float) -> Threshold:
    """The thresholds of the training targets (N,), given the bin of each.

    Raises:
        TableError: no target is above the threshold, since the greatest of them tie.
    """
    overall = float(np.quantile(targets, 1.0 - top_fraction))
    if not (targets > overall).any():
        raise TableError(
            f"no training post would be viral: the top {top_fraction:.0%} of {len(targets)} posts all have the target "
            f"{overall:g}; give more posts, a larger top_fraction or another label"
        )
    return Threshold(overall, _bin_thresholds(targets, bins, top_fraction) if bins is not None else {})


def _bin_thresholds(targets: Array, bins: Sequence[str], top_fraction: float) -> dict[str, float]:
    names, members = np.unique(np.array(bins), return_inverse=True)
    order = np.argsort(members, kind="stable")
    groups = np.split(targets[order], np.cumsum(np.bincount(members, minlength=len(names)))[:-1])
    found = {}
    for name, group in zip(names.tolist(), groups, strict=True):
        if name and len(group) >= SMALLEST_BIN:
            limit = float(np.quantile(group, 1.0 - top_fraction))
            if group.max() > limit:
                found[name] = limit
    return found
