"""The rates that a model's heads learn beside its target."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from viral.labels.columns import columns


def log_rates(posts: pa.Table) -> dict[str, npt.NDArray[np.float32]]:
    """For `likes`, `comments` and `shares`: log(count + 1) - log(views + 1), float32 (N,), NaN where not known."""
    there = columns(posts)
    views = np.log1p(there["views"])
    return {name: (np.log1p(there[name]) - views).astype(np.float32) for name in ("likes", "comments", "shares")}
