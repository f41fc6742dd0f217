"""Min-max scaling by the training rows."""

from __future__ import annotations

from viral.labels.columns import Array
from viral.labels.definition import Fitted


def extent(values: Array) -> Fitted:
    """The least and greatest value, as `least` and `greatest`."""
    return {"least": float(values.min()), "greatest": float(values.max())}


def to_unit(values: Array, fitted: Fitted) -> Array:
    """Values with the training rows' extent brought to 0…1; not clipped. All 0 where that extent is empty."""
    width = fitted["greatest"] - fitted["least"]
    return (values - fitted["least"]) / (width or 1.0)
