"""Number of posts that use a sound, on a logarithmic scale: log1p(uses)."""

from __future__ import annotations

import numpy as np

from viral.labels.columns import Array, Columns
from viral.labels.definition import Definition, Parameters


def _target(columns: Columns, _: Parameters) -> Array:
    target: Array = np.log1p(columns["sound_uses"])
    return target


LOG_USES = Definition(name="log_uses", required=("sound_uses",), target=_target, log_scale=True)
