"""Selection of rows by key and version, and comparison of two states of a table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

SelectRows = Callable[[pa.Table, str, str | None], pa.Table]
"""Function of a table, its key column and the column that orders the versions of a key; returns the selected rows."""


def latest_per_key(rows: pa.Table, key: str, newest_by: str | None) -> pa.Table:
    """Select the last row per key after a stable sort by key and `newest_by` (null first), ordered by key."""
    return _last_of_runs(_sorted(rows, key, newest_by), [key])


def latest_values_per_key(rows: pa.Table, key: str, newest_by: str | None) -> pa.Table:
    """Select the last value per key and column that is not null, in the order of `latest_per_key`; ordered by key."""
    rows = _sorted(rows, key, newest_by)
    last = np.flatnonzero(_ends_of_runs(rows, [key]))
    # First row of each key's run.
    starts = np.concatenate([[0], last[:-1] + 1]) if len(last) else last
    return pa.table([_last_known(column, starts, last) for column in rows.columns], schema=rows.schema)


def _last_known(column: pa.ChunkedArray, starts: npt.NDArray[np.int64], last: npt.NDArray[np.int64]) -> pa.ChunkedArray:
    """Take from each run of rows the last value that is not null."""
    if not column.null_count:
        # Without nulls, the newest value is that of the newest row.
        return column.take(pa.array(last))
    # The index of the last valid row so far; before the start of its own run, it belongs to another key.
    known = np.where(np.asarray(column.is_valid()), np.arange(len(column)), -1)
    found = np.maximum.accumulate(known)[last]
    return column.take(pa.array(found, mask=found < starts))


def all_versions(rows: pa.Table, key: str, newest_by: str | None) -> pa.Table:
    """Select the last row per key and version, ordered by both."""
    return _last_of_runs(_sorted(rows, key, newest_by), [key, *filter(None, [newest_by])])


def _sorted(rows: pa.Table, key: str, newest_by: str | None) -> pa.Table:
    # The sort is stable: of equal versions the row of the later table stays last, and wins.
    order = [(key, "ascending", "at_end"), *([(newest_by, "ascending", "at_start")] if newest_by else [])]
    return rows.take(pc.sort_indices(rows, order))


def _last_of_runs(rows: pa.Table, names: list[str]) -> pa.Table:
    """Select the last row of each run of rows that are equal in these columns."""
    return rows.filter(pa.array(_ends_of_runs(rows, names))) if rows.num_rows else rows


def _ends_of_runs(rows: pa.Table, names: list[str]) -> npt.NDArray[np.bool_]:
    """Mask of the last row of each run of rows that are equal in these columns, (N,)."""
    if not rows.num_rows:
        return np.zeros(0, bool)
    changes = np.zeros(rows.num_rows - 1, bool)
    for name in names:
        column = rows[name].combine_chunks()
        changes |= ~_equal(column[:-1], column[1:])
    return np.append(changes, True)


def changed_rows(old: pa.Table, new: pa.Table, key: str) -> int:
    """Count the rows of `new` that are not in `old`; both ordered by key."""
    if old.num_rows == 0:
        return int(new.num_rows)
    index = pc.index_in(new[key], old[key])
    after, before = new.filter(pc.is_valid(index)), old.take(index.drop_null())
    unchanged = np.logical_and.reduce([_equal(after[name], before[name]) for name in after.column_names])
    return int(new.num_rows - unchanged.sum())


def _equal(left: pa.ChunkedArray, right: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Compare values elementwise; two nulls are equal."""
    # Arrow has no kernel that compares lists.
    if pa.types.is_nested(left.type):
        return np.array([a == b for a, b in zip(left.to_pylist(), right.to_pylist(), strict=True)], bool)
    equal = pc.fill_null(pc.equal(left, right), False)
    both_null = pc.and_(pc.is_null(left), pc.is_null(right))
    return np.asarray(pc.or_(equal, both_null))
