"""Conversion of JSON objects to raw columns: a post column takes the first value that its paths lead to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from viral.sources.parsed import BrokenRow, RawBatch

Row = dict[str, Any]
Paths = Mapping[str, tuple[str, ...]]
"""Post column → dotted paths into a row, in order of preference."""
RawRow = dict[str, str | list[str] | None]


class WrongShapeError(ValueError):
    """Error of a row without the source's structure. Internal to `viral.sources`: the row becomes a reject."""


def get_path(row: Row, path: str) -> object:
    """Value at a dotted path; None if a key is missing.

    Raises:
        WrongShapeError: a value before the end of the path is not an object.
    """
    value: Any = row
    for key in path.split("."):
        if value is None:
            return None
        if not isinstance(value, dict):
            raise WrongShapeError(f"{path}: expected an object with {key!r}, but it is {_describe(value)}")
        value = value.get(key)
    return value


def first_text(row: Row, *paths: str) -> str | None:
    """First value at one of the paths that is neither missing nor empty, as text.

    Raises:
        WrongShapeError: a path leads to an object or an array.
    """
    for path in paths:
        value = get_path(row, path)
        if isinstance(value, dict | list):
            raise WrongShapeError(f"{path} is {_describe(value)}, not a single value")
        if value is not None and value != "":
            return _text(value)
    return None


def list_of_texts(row: Row, path: str, key: str) -> list[str]:
    """Values of `key` in the objects of the array at `path`, as text; empty if there is no array.

    Raises:
        WrongShapeError: the value at `path` is not an array of objects.
    """
    items = get_path(row, path) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise WrongShapeError(f"{path} is not an array of objects")
    return [
        _text(item[key]) for item in items if item.get(key)
    ]  # TikTok lists mentions of users as entries without a hashtag


def extract_texts(row: Row, paths: Paths) -> RawRow:
    """Extract the columns of one row, as text."""
    return {column: first_text(row, *column_paths) for column, column_paths in paths.items()}


def to_batches(
    rows: Iterable[tuple[int, object] | BrokenRow], extract: Callable[[Row], RawRow], labels: Paths, batch_rows: int
) -> Iterator[RawBatch]:
    """Extract the columns of numbered rows, and group the rows into batches of at most `batch_rows`."""
    good: list[tuple[int, Row, RawRow]] = []
    broken: list[BrokenRow] = []
    for row in rows:
        extracted = row if isinstance(row, BrokenRow) else _extract_row(*row, extract)
        if isinstance(extracted, BrokenRow):
            broken.append(extracted)
        else:
            good.append(extracted)
        if len(good) + len(broken) >= batch_rows:
            yield _batch(good, broken, labels)
            good, broken = [], []
    if good or broken:
        yield _batch(good, broken, labels)


def _extract_row(number: int, row: object, extract: Callable[[Row], RawRow]) -> tuple[int, Row, RawRow] | BrokenRow:
    if not isinstance(row, dict):
        return BrokenRow(number, f"the row is {_describe(row)}, not an object", json.dumps(row, ensure_ascii=False))
    try:
        return number, row, extract(row)
    except WrongShapeError as error:
        return BrokenRow(number, str(error), json.dumps(row, ensure_ascii=False))


def _batch(good: Sequence[tuple[int, Row, RawRow]], broken: Sequence[BrokenRow], labels: Paths) -> RawBatch:
    present = dict.fromkeys(column for _, _, raw in good for column in raw)
    return RawBatch(
        columns={column: _array([raw.get(column) for _, _, raw in good]) for column in present},
        rows=np.array([number for number, _, _ in good], dtype=np.int64),
        raw=lambda i: good[i][1],
        labels={column: paths[0] for column, paths in labels.items()},  # messages name the preferred path
        broken=broken,
    )


def _array(values: Sequence[str | list[str] | None]) -> pa.Array:
    lists = any(isinstance(value, list) for value in values)
    return pa.array(values, pa.list_(pa.string()) if lists else pa.string())


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"  # JSON spelling, which `parse_booleans` reads
    return str(value).encode("utf-8", "replace").decode()  # JSON may hold half a surrogate pair: no UTF-8 for it


def _describe(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    return "an array" if isinstance(value, list) else f"the single value {str(value)[:80]!r}"
