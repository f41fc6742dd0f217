"""Thresholds of the top fraction of targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from viral.errors import TableError
from viral.labels.columns import Array

SMALLEST_BIN = 20  # training posts that a bin needs for its own threshold: 5 viral ones by the default fraction


@dataclass(frozen=True)
class Threshold:
    """Targets above `overall`, or above the threshold of their bin in `bins`, are in the top fraction.

    A threshold is the (1 - f) quantile of the training targets (linear interpolation). A target must exceed it, so at
    most the fraction f of the training posts is viral, rounded up to a whole post, and fewer if many posts tie at the
    threshold. `overall` also applies to a bin with fewer than `SMALLEST_BIN` training posts, with none above its own
    quantile, or without training posts (a later week, for example).
    """

    overall: float
    bins: Mapping[str, float] = field(default_factory=dict)

    def above(self, targets: Array, bins: Sequence[str] | None) -> npt.NDArray[np.bool_]:
        """Return whether each target (N,) is in the top fraction; `bins` has the bin of each target."""
        if bins is None:
            return targets > self.overall
        # A bin of its own threshold only where training had enough posts for one.
        limits = np.array([self.bins.get(key, self.overall) for key in bins], dtype=np.float64)
        return targets > limits


def fit_threshold(targets: Array, bins: Sequence[str] | None, top_fraction: float) -> Threshold:
    """Fit the thresholds on the training targets (N,); `bins` has the bin of each.

    Raises:
        TableError: no target is above the threshold because the greatest ones tie.
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
    thresholds = {}
    for name, group in zip(names.tolist(), groups, strict=True):
        # An empty name: the bin of these posts is unknown.
        if name and len(group) >= SMALLEST_BIN:
            limit = float(np.quantile(group, 1.0 - top_fraction))
            # With all greatest values equal to the limit, no post of the bin could be viral: `overall` decides.
            if group.max() > limit:
                thresholds[name] = limit
    return thresholds
