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

# float64 holds every count up to 2^53 exactly, the limit of the posts table, and has NaN for unknown.
_NUMBERS = ("views", "likes", "comments", "shares", "saves", "author_followers", "duration_seconds", "sound_uses")
_TIMES = ("posted_at", "scraped_at")


def numeric_columns(posts: pa.Table) -> dict[str, Array]:
    """Convert every column that a label may use; a column that the table lacks is all NaN.

    Raises:
        TableError: a column does not have the type of the posts table.
    """
    converters = {**dict.fromkeys(_NUMBERS, _floats), **dict.fromkeys(_TIMES, _seconds), "author_id": _codes}
    missing = np.full(posts.num_rows, np.nan)
    try:
        return {name: to(posts[name]) if name in posts.column_names else missing for name, to in converters.items()}
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TableError(f"this is not a posts table: {error}") from None


def positive(values: Array) -> Array:
    """Replace numbers up to 0 by NaN, so that a post with such a divisor has no target."""
    return np.where(values > 0, values, np.nan)


def _floats(column: pa.ChunkedArray) -> Array:
    values: Array = pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()
    return values


def _seconds(column: pa.ChunkedArray) -> Array:
    return _floats(column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())) / 1e6


def _codes(column: pa.ChunkedArray) -> Array:
    # Codes are only compared for equality: their order, that of first appearance, means nothing.
    codes = column.combine_chunks().dictionary_encode().indices.cast(pa.float64())
    values: Array = pc.fill_null(codes, np.nan).to_numpy(zero_copy_only=False)
    return values
