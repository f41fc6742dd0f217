"""Views on a logarithmic scale: log1p(views)."""

from __future__ import annotations

import numpy as np

from viral.labels.definition import Definition

# Views span many orders of magnitude; log1p, because a post may have none yet.
LOG_VIEWS = Definition(
    name="log_views", required=("views",), target=lambda columns, _: np.log1p(columns["views"]), log_scale=True
)
