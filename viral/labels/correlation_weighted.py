"""Views plus the other counts, each weighted by one minus its correlation with the views.

    virality = views + (1 - r(views, likes)) likes + (1 - r(views, comments)) comments + (1 - r(views, shares)) shares

with Pearson's r over the training rows. Where the counts follow the views closely, this is nearly the view count.
`correlation_weighted` is the virality itself. `correlation_weighted_scaled` scales it to 0…1 by the minimum and maximum
of the training rows, without clipping other posts; a few outliers leave most posts near 0.
"""

from __future__ import annotations

import numpy as np

from viral.errors import TableError
from viral.labels.columns import Array, Columns
from viral.labels.definition import Definition, Parameters
from viral.labels.scaling import fit_min_max, min_max_scale

_OTHERS = ("likes", "comments", "shares")


def _weights(columns: Columns) -> Parameters:
    return {name: 1.0 - _correlation(columns, name) for name in _OTHERS}


def _correlation(columns: Columns, name: str) -> float:
    views, counts = columns["views"], columns[name]
    for column, values in (("views", views), (name, counts)):
        # A constant has no correlation: numpy would divide by zero and return NaN.
        if values.min() == values.max():
            raise TableError(
                f"correlation_weighted cannot be fitted: {column} is the same in all {len(values)} training posts; "
                "give more posts or choose another label, for example log_views"
            )
    return float(np.corrcoef(views, counts)[0, 1])


def _virality(columns: Columns, parameters: Parameters) -> Array:
    weighted: Array = columns["views"] + sum(parameters[name] * columns[name] for name in _OTHERS)
    return weighted


def _weights_and_range(columns: Columns) -> Parameters:
    weights = _weights(columns)
    # The range is that of the weighted sum, so the weights come first.
    return weights | fit_min_max(_virality(columns, weights))


CORRELATION_WEIGHTED = Definition(
    name="correlation_weighted", required=("views", *_OTHERS), target=_virality, fit=_weights
)
CORRELATION_WEIGHTED_SCALED = Definition(
    name="correlation_weighted_scaled",
    required=("views", *_OTHERS),
    target=lambda columns, parameters: min_max_scale(_virality(columns, parameters), parameters),
    fit=_weights_and_range,
)
