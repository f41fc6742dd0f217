"""A fixed weighting of all four counts: 0.4 likes + 0.3 views + 0.2 shares + 0.1 comments.

`engagement_weighted_raw` adds the counts as they are, which is mostly the views. `engagement_weighted` first takes
log1p of each count and scales it robustly (less the median, over the distance of the quartiles), then brings the sum to
0…1 by the least and greatest of the training rows; posts outside those are beyond 0…1. A count whose quartiles are
equal is divided by 1, as in scikit-learn's RobustScaler.
"""

from __future__ import annotations

import numpy as np

from viral.labels.columns import Array, Columns
from viral.labels.definition import Definition, Fitted
from viral.labels.scaling import extent, to_unit

_WEIGHTS = {"likes": 0.4, "views": 0.3, "shares": 0.2, "comments": 0.1}
_NEEDS = ("views", "likes", "comments", "shares")


def _raw(columns: Columns, _: Fitted) -> Array:
    weighted: Array = np.sum([weight * columns[name] for name, weight in _WEIGHTS.items()], axis=0)
    return weighted


def _robust(columns: Columns, fitted: Fitted) -> Array:
    scaled = [
        weight * (np.log1p(columns[name]) - fitted[f"{name}_median"]) / fitted[f"{name}_spread"]
        for name, weight in _WEIGHTS.items()
    ]
    weighted: Array = np.sum(scaled, axis=0)
    return weighted


def _scalers(columns: Columns) -> Fitted:
    fitted: Fitted = {}
    for name in _WEIGHTS:
        low, median, high = np.quantile(np.log1p(columns[name]), (0.25, 0.5, 0.75))
        fitted |= {f"{name}_median": float(median), f"{name}_spread": float(high - low) or 1.0}
    return fitted | extent(_robust(columns, fitted))


ENGAGEMENT_WEIGHTED = Definition(
    name="engagement_weighted",
    needs=_NEEDS,
    target=lambda columns, fitted: to_unit(_robust(columns, fitted), fitted),
    learn=_scalers,
)
ENGAGEMENT_WEIGHTED_RAW = Definition(name="engagement_weighted_raw", needs=_NEEDS, target=_raw)
