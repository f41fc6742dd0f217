"""Numeric columns of a posts table for labels: float64 arrays, NaN where a value is unknown."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.errors import TableError

Array = npt.NDArray[np.float64]
Columns = Mapping[str, Array]
"""Column of the posts table → values (N,). Times are epoch seconds; `author_id` is an integer code per author."""

_NUMBERS = ("views", "likes", "comments", "shares", "saves", "author_followers", "duration_seconds", "sound_uses")
_TIMES = ("posted_at", "scraped_at")


def numeric_columns(posts: pa.Table) -> dict[str, Array]:
    """Convert every column that a label may use; a column that the table lacks is all NaN.

    Raises:
        TableError: a column does not have the type of the posts table.
    """
    try:
        numbers = {name: _floats(posts, name) for name in _NUMBERS}
        times = {name: _seconds(posts, name) for name in _TIMES}
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TableError(f"this is no posts table: {error}") from None
    return {**numbers, **times, "author_id": _codes(posts)}


def _floats(posts: pa.Table, name: str) -> Array:
    if name not in posts.column_names:
        return np.full(posts.num_rows, np.nan)
    values: Array = pc.fill_null(posts[name].cast(pa.float64()), np.nan).to_numpy()
    return values


def _seconds(posts: pa.Table, name: str) -> Array:
    if name not in posts.column_names:
        return np.full(posts.num_rows, np.nan)
    micros = posts[name].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    values: Array = pc.fill_null(pc.divide(micros.cast(pa.float64()), 1e6), np.nan).to_numpy()
    return values


def _codes(posts: pa.Table) -> Array:
    if "author_id" not in posts.column_names:
        return np.full(posts.num_rows, np.nan)
    encoded = posts["author_id"].combine_chunks().dictionary_encode()
    values: Array = pc.fill_null(encoded.indices.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    return values
