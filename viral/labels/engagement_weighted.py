"""Fixed weights for all four counts: 0.4 likes + 0.3 views + 0.2 shares + 0.1 comments.

`engagement_weighted_raw` adds the raw counts, so views dominate. `engagement_weighted` takes log1p of each count,
scales it as scikit-learn's RobustScaler does (minus the median, divided by the interquartile range, or by 1 if that is
0), and scales the sum to 0…1 by the minimum and maximum of the training rows, without clipping other posts.
"""

from __future__ import annotations

import numpy as np

from viral.labels.columns import Array, Columns
from viral.labels.definition import Definition, Parameters
from viral.labels.scaling import fit_min_max, min_max_scale

# From another system, so that models can be compared with it.
_WEIGHTS = {"likes": 0.4, "views": 0.3, "shares": 0.2, "comments": 0.1}
_REQUIRED = ("views", "likes", "comments", "shares")


def _raw(columns: Columns, _: Parameters) -> Array:
    weighted: Array = np.sum([weight * columns[name] for name, weight in _WEIGHTS.items()], axis=0)
    return weighted


def _robust(columns: Columns, parameters: Parameters) -> Array:
    scaled = [
        weight * (np.log1p(columns[name]) - parameters[f"{name}_median"]) / parameters[f"{name}_spread"]
        for name, weight in _WEIGHTS.items()
    ]
    weighted: Array = np.sum(scaled, axis=0)
    return weighted


def _scalers(columns: Columns) -> Parameters:
    parameters: Parameters = {}
    for name in _WEIGHTS:
        low, median, high = np.quantile(np.log1p(columns[name]), (0.25, 0.5, 0.75))
        # An interquartile range of 0 would divide by zero.
        parameters |= {f"{name}_median": float(median), f"{name}_spread": float(high - low) or 1.0}
    return parameters | fit_min_max(_robust(columns, parameters))


ENGAGEMENT_WEIGHTED = Definition(
    name="engagement_weighted",
    required=_REQUIRED,
    target=lambda columns, parameters: min_max_scale(_robust(columns, parameters), parameters),
    fit=_scalers,
)
ENGAGEMENT_WEIGHTED_RAW = Definition(name="engagement_weighted_raw", required=_REQUIRED, target=_raw)
