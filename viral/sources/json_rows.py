"""JSON objects → raw columns: each post column is the first value found along its paths."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from viral.sources.parsed import Broken, RawBatch

Row = dict[str, Any]
Paths = Mapping[str, tuple[str, ...]]
"""Post column → dotted paths into a row. The first that leads to a value counts."""
Raw = dict[str, str | list[str] | None]


class WrongShapeError(ValueError):
    """A row is built otherwise than this source builds them. Never leaves `viral.sources`: it becomes a reject."""


def find(row: Row, path: str) -> object:
    """What a dotted path leads to; None where a step is missing.

    Raises:
        WrongShapeError: a step leads through something that is no object.
    """
    here: Any = row
    for step in path.split("."):
        if here is None:
            return None
        if not isinstance(here, dict):
            raise WrongShapeError(f"{path}: {step!r} is sought in {_kind(here)}, not in an object")
        here = here.get(step)
    return here


def scalar(row: Row, *paths: str) -> str | None:
    """The first value along the paths that is there and not empty, as text.

    Raises:
        WrongShapeError: a path leads to an object or an array.
    """
    for path in paths:
        value = find(row, path)
        if isinstance(value, dict | list):
            raise WrongShapeError(f"{path} is {_kind(value)}, not a single value")
        if value is not None and value != "":
            return _text(value)
    return None


def names(row: Row, path: str, key: str) -> list[str]:
    """The texts under `key` of the objects in the array that `path` leads to; empty where there is none.

    Raises:
        WrongShapeError: there is something else than an array of objects.
    """
    items = find(row, path) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise WrongShapeError(f"{path} is not an array of objects")
    return [_text(item[key]) for item in items if item.get(key)]


def scalars(row: Row, paths: Paths) -> Raw:
    """The columns of one row, as text."""
    return {column: scalar(row, *options) for column, options in paths.items()}


def batches(
    rows: Iterable[tuple[int, object] | Broken],
    extract: Callable[[Row], Raw],
    labels: Paths,
    batch_rows: int,
) -> Iterator[RawBatch]:
    """Groups rows into batches of at most `batch_rows`; a row that `extract` cannot take apart is a broken one."""
    good: list[tuple[int, Row, Raw]] = []
    broken: list[Broken] = []
    for row in rows:
        taken = row if isinstance(row, Broken) else _take(*row, extract)
        if isinstance(taken, Broken):
            broken.append(taken)
        else:
            good.append(taken)
        if len(good) + len(broken) >= batch_rows:
            yield _batch(good, broken, labels)
            good, broken = [], []
    if good or broken:
        yield _batch(good, broken, labels)


def _take(number: int, row: object, extract: Callable[[Row], Raw]) -> tuple[int, Row, Raw] | Broken:
    if not isinstance(row, dict):
        return Broken(number, f"the row is {_kind(row)}, not an object", json.dumps(row, ensure_ascii=False))
    try:
        return number, row, extract(row)
    except WrongShapeError as error:
        return Broken(number, str(error), json.dumps(row, ensure_ascii=False))


def _batch(good: Sequence[tuple[int, Row, Raw]], broken: Sequence[Broken], labels: Paths) -> RawBatch:
    present = dict.fromkeys(column for _, _, raw in good for column in raw)
    return RawBatch(
        columns={column: _array([raw.get(column) for _, _, raw in good]) for column in present},
        rows=np.array([number for number, _, _ in good], dtype=np.int64),
        raw=lambda position: good[position][1],
        labels={column: paths[0] for column, paths in labels.items()},
        broken=broken,
    )


def _array(values: Sequence[str | list[str] | None]) -> pa.Array:
    listed = any(isinstance(value, list) for value in values)
    return pa.array(values, pa.list_(pa.string()) if listed else pa.string())


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # JSON may hold half a surrogate pair, which is no text that can be stored.
    return str(value).encode("utf-8", "replace").decode()


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    return "an array" if isinstance(value, list) else f"the single value {str(value)[:80]!r}"
