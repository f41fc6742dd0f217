"""Targets of a model's auxiliary heads: likes, comments and shares relative to views."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from viral.labels.columns import numeric_columns


def log_rates(posts: pa.Table) -> dict[str, npt.NDArray[np.float32]]:
    """Return log(count + 1) - log(views + 1) of `likes`, `comments` and `shares`: float32 (N,), NaN where unknown."""
    # Counts of zero are common: one is added to both, so that each rate is finite.
    columns = numeric_columns(posts)
    views = np.log1p(columns["views"])
    return {name: (np.log1p(columns[name]) - views).astype(np.float32) for name in ("likes", "comments", "shares")}
