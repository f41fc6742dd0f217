"""Bins of posts (week of posting, age, duration), so that a post is compared within its bin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from viral.labels.columns import Array, Columns
from viral.labels.daily_views import SECONDS_A_DAY
from viral.labels.spec import Within

# Bin edges above 0. They about double, because a further day or second matters less the older or longer a post is.
AGE_DAYS = (1, 2, 4, 7, 14, 30, 90, 365)
DURATION_SECONDS = (15, 30, 60, 180)

_THURSDAY = 3  # weekday of the epoch, counted from Monday, on which a week begins


def bin_keys(columns: Columns, within: Sequence[Within]) -> list[str]:
    """Return the bin of each post, for example `week=2888,age=3`; an empty string where it is unknown."""
    by_name = {name: _bin_indices(columns, name) for name in within}
    # A sum is NaN if one of its terms is.
    unknown = np.isnan(np.sum(list(by_name.values()), axis=0))
    parts = [[f"{name}={index:.0f}" for index in indices] for name, indices in by_name.items()]
    return ["" if is_unknown else ",".join(key) for is_unknown, *key in zip(unknown, *parts, strict=True)]


def _bin_indices(columns: Columns, name: Within) -> Array:
    if name == "week":
        # Weeks begin on Monday; 1 January 1970 was a Thursday.
        weeks: Array = np.floor((columns["posted_at"] / SECONDS_A_DAY + _THURSDAY) / 7)
        return weeks
    if name == "age":
        return _digitize((columns["scraped_at"] - columns["posted_at"]) / SECONDS_A_DAY, AGE_DAYS)
    return _digitize(columns["duration_seconds"], DURATION_SECONDS)


def _digitize(values: Array, edges: Sequence[float]) -> Array:
    indices: Array = np.where(np.isnan(values), np.nan, np.digitize(values, edges).astype(np.float64))
    return indices
