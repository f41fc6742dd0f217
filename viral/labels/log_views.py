"""Views on a logarithmic scale: log1p(views)."""

from __future__ import annotations

import numpy as np

from viral.labels.columns import Array, Columns
from viral.labels.definition import Definition, Parameters


def _target(columns: Columns, _: Parameters) -> Array:
    target: Array = np.log1p(columns["views"])
    return target


LOG_VIEWS = Definition(name="log_views", required=("views",), target=_target, log_scale=True)
