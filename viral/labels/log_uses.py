"""How many posts use the sound, on a logarithmic scale: log1p(uses)."""

from __future__ import annotations

import numpy as np

from viral.labels.columns import Array, Columns
from viral.labels.definition import Definition, Fitted


def _target(columns: Columns, _: Fitted) -> Array:
    target: Array = np.log1p(columns["sound_uses"])
    return target


LOG_USES = Definition(name="log_uses", needs=("sound_uses",), target=_target, log_scale=True)
