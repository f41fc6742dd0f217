"""Number of posts that use a sound, on a logarithmic scale: log1p(uses)."""

from __future__ import annotations

import numpy as np

from viral.labels.definition import Definition

# log1p, as of views: zero is a possible count.
LOG_USES = Definition(
    name="log_uses", required=("sound_uses",), target=lambda columns, _: np.log1p(columns["sound_uses"]), log_scale=True
)
