"""Several rows of one key: which of them to keep, and which have changed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Choose = Callable[[pa.Table, str, str | None], pa.Table]
"""Which rows to keep of a table, by its key and the column that orders the versions of a key."""


def newest_of(rows: pa.Table, key: str, newest_by: str | None) -> pa.Table:
    """The last row of each key after a stable sort by key and `newest_by` (null first), in order of key."""
    return _last_of_runs(_in_order(rows, key, newest_by), [key])


def each_version(rows: pa.Table, key: str, newest_by: str | None) -> pa.Table:
    """The last row of each key and version, in order of both."""
    return _last_of_runs(_in_order(rows, key, newest_by), [key, *filter(None, [newest_by])])


def _in_order(rows: pa.Table, key: str, newest_by: str | None) -> pa.Table:
    order = [(key, "ascending", "at_end"), *([(newest_by, "ascending", "at_start")] if newest_by else [])]
    return rows.take(pc.sort_indices(rows, order))


def _last_of_runs(rows: pa.Table, names: list[str]) -> pa.Table:
    """The last of each run of rows that are equal in those columns."""
    if rows.num_rows < 2:
        return rows
    changes = np.zeros(rows.num_rows - 1, bool)
    for name in names:
        column = rows[name].combine_chunks()
        same = pc.equal(column[:-1], column[1:])
        both_null = pc.and_(pc.is_null(column[:-1]), pc.is_null(column[1:]))
        changes |= ~np.asarray(pc.or_(pc.fill_null(same, False), both_null))
    return rows.filter(pa.array(np.append(changes, True)))


def changed_rows(old: pa.Table, new: pa.Table, key: str) -> int:
    """How many rows of `new` are not in `old`, both in order of key."""
    if old.num_rows == 0:
        return int(new.num_rows)
    place = pc.index_in(new[key], old[key])
    both = new.filter(pc.is_valid(place))
    then = old.take(place.drop_null())
    same = [_same(both[name], then[name]) for name in both.column_names]
    return int(new.num_rows - np.logical_and.reduce(same).sum())


def _same(left: pa.ChunkedArray, right: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    if pa.types.is_nested(left.type):
        return np.array([a == b for a, b in zip(left.to_pylist(), right.to_pylist(), strict=True)], bool)
    equal = pc.fill_null(pc.equal(left, right), False)
    both_null = pc.and_(pc.is_null(left), pc.is_null(right))
    return np.asarray(pc.or_(equal, both_null))
