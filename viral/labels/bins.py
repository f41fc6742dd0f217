"""The bins that posts may be compared within."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from viral.labels.columns import Array, Columns
from viral.labels.daily_views import SECONDS_A_DAY
from viral.labels.spec import Within

AGE_DAYS = (1, 2, 4, 7, 14, 30, 90, 365)
"""Where the bins of age begin, besides 0."""

DURATION_SECONDS = (15, 30, 60, 180)
"""Where the bins of duration begin, besides 0."""

# The epoch was a Thursday; weeks here begin on Monday.
_THURSDAY = 3


def keys(columns: Columns, within: Sequence[Within]) -> list[str]:
    """The bin of each post, such as `week=2888,age=3`; empty where a bin is not known."""
    parts = [(name, _numbers(columns, name)) for name in within]
    unknown = np.isnan(np.sum([numbers for _, numbers in parts], axis=0))
    named = [[f"{name}={number:.0f}" for number in numbers] for name, numbers in parts]
    return ["" if lost else ",".join(key) for lost, key in zip(unknown, zip(*named, strict=True), strict=True)]


def _numbers(columns: Columns, name: Within) -> Array:
    if name == "week":
        weeks: Array = np.floor((columns["posted_at"] / SECONDS_A_DAY + _THURSDAY) / 7)
        return weeks
    if name == "age":
        return _edges((columns["scraped_at"] - columns["posted_at"]) / SECONDS_A_DAY, AGE_DAYS)
    return _edges(columns["duration_seconds"], DURATION_SECONDS)


def _edges(values: Array, edges: Sequence[float]) -> Array:
    numbers: Array = np.where(np.isnan(values), np.nan, np.digitize(values, edges).astype(np.float64))
    return numbers
