"""Column map of a CSV or Parquet file: post column → column of the file, checked before any row is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from viral.errors import ConfigError, SourceError
from viral.tables.schemas import POSTS


def resolve_columns(available: Sequence[str], columns: Mapping[str, str] | None, file: str) -> dict[str, str]:
    """Check the user's column map, or build one from equal names.

    Args:
        available: columns of the file.
        columns: the user's map; None maps every column of the file that has the name of a post column.
        file: path or URI, for error messages.

    Raises:
        ConfigError: the map names a column that the posts table or the file does not have, or lacks `post_id`.
        SourceError: there is neither a map nor a column `post_id`, or the file has two columns of one name.
    """
    if columns is None:
        column_map = {name: name for name in POSTS.names if name in available}
        if "post_id" not in column_map:
            raise SourceError(f"{file} has no column 'post_id'; map a column to it. It has: {', '.join(available)}")
    else:
        column_map = dict(columns)
        _check(column_map, available, file)
    duplicates = [name for name, count in Counter(available).items() if count > 1 and name in column_map.values()]
    if duplicates:  # the name is ambiguous
        raise SourceError(f"{file} has the column {duplicates[0]!r} more than once: rename the others")
    return column_map


def _check(column_map: Mapping[str, str], available: Sequence[str], file: str) -> None:
    if unknown := [name for name in column_map if name not in POSTS.names]:
        raise ConfigError(f"{unknown[0]!r} in the column map is not a post column; these are: {', '.join(POSTS.names)}")
    if "post_id" not in column_map:
        raise ConfigError(f"the column map lacks 'post_id'; {file} has: {', '.join(available)}")
    if missing := [name for name in column_map.values() if name not in available]:
        raise ConfigError(f"{file} has no column {missing[0]!r}; it has: {', '.join(available)}")
