"""Min-max scaling, fitted on the training rows."""

from __future__ import annotations

from viral.labels.columns import Array
from viral.labels.definition import Parameters


def fit_min_max(values: Array) -> Parameters:
    """Return the minimum and maximum, as `least` and `greatest`."""
    return {"least": float(values.min()), "greatest": float(values.max())}


def min_max_scale(values: Array, parameters: Parameters) -> Array:
    """Scale the training range to 0…1, without clipping other values; all zeros if that range is empty."""
    width = parameters["greatest"] - parameters["least"]
    return (values - parameters["least"]) / (width or 1.0)
