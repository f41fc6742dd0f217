"""Views, plus every other count by what it says beyond the views.

    virality = views + (1 - r(views, likes)) likes + (1 - r(views, comments)) comments + (1 - r(views, shares)) shares

with Pearson's r over the training rows. Where the counts follow the views closely, as they mostly do, this is the view
count in all but name. `correlation_weighted` is the virality itself, `correlation_weighted_scaled` brings it to 0…1 by
the least and greatest of the training rows; posts outside those are beyond 0…1, and a few outliers leave most near 0.
"""

from __future__ import annotations

import numpy as np

from viral.errors import TableError
from viral.labels.columns import Array, Columns
from viral.labels.definition import Definition, Fitted
from viral.labels.scaling import extent, to_unit

_OTHERS = ("likes", "comments", "shares")


def _weights(columns: Columns) -> Fitted:
    return {name: 1.0 - _correlation(columns, name) for name in _OTHERS}


def _correlation(columns: Columns, name: str) -> float:
    views, counts = columns["views"], columns[name]
    for which, values in (("views", views), (name, counts)):
        if values.min() == values.max():
            raise TableError(
                f"correlation_weighted cannot be fitted: {which} is the same in all {len(values)} training posts; "
                "give more posts or choose another label, such as log_views"
            )
    return float(np.corrcoef(views, counts)[0, 1])


def _virality(columns: Columns, fitted: Fitted) -> Array:
    weighted: Array = columns["views"] + sum(fitted[name] * columns[name] for name in _OTHERS)
    return weighted


def _weights_and_extent(columns: Columns) -> Fitted:
    weights = _weights(columns)
    return weights | extent(_virality(columns, weights))


CORRELATION_WEIGHTED = Definition(
    name="correlation_weighted", needs=("views", *_OTHERS), target=_virality, learn=_weights
)
CORRELATION_WEIGHTED_SCALED = Definition(
    name="correlation_weighted_scaled",
    needs=("views", *_OTHERS),
    target=lambda columns, fitted: to_unit(_virality(columns, fitted), fitted),
    learn=_weights_and_extent,
)
