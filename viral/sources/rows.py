"""Rows of a file before their values are parsed: objects of JSON, or columns of a table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.sources.expressions import DOCUMENT, FILE_NAME, Path, WrongShapeError, describe
from viral.sources.parsed import BrokenRow
from viral.sources.values import Faults

_NUMBERED = re.compile(r"\.(\d+)(?=\.|$)")


class Rows(Protocol):
    """Rows of one file, or one row of each of several files.

    `numbers` int64 (N,) are the row numbers in the file, from 1; `broken` are rows without values.
    """

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """Row numbers."""

    @property
    def broken(self) -> Sequence[BrokenRow]:
        """Rows without values."""

    def has(self, path: Path) -> bool:
        """Whether a row has the path, or the table the column."""

    def texts(self, path: Path) -> tuple[pa.Array, Faults]:
        """Values at a path, one per row, as text or as the type that the file gives, and what could not be read."""

    def objects(self, path: Path) -> list[Any]:
        """Values at a path, one per row, as Python objects: a list where the path leads to several."""

    def raw(self, index: int) -> object:
        """The row as the file has it."""


@dataclass(frozen=True)
class JsonRows:
    """Rows of JSON, with the document and the file of each."""

    rows: Sequence[Any]
    numbers: npt.NDArray[np.int64]
    documents: Sequence[Any]
    files: Sequence[str]
    broken: Sequence[BrokenRow] = ()
    _known: dict[str, bool] = field(default_factory=dict, compare=False)

    def has(self, path: Path) -> bool:
        """Whether a row has a value at the path."""
        # Looked up for every alternative of every column: remembered per batch.
        if path.text not in self._known:
            self._known[path.text] = any(value is not None for value in self._objects(path))
        return self._known[path.text]

    def texts(self, path: Path) -> tuple[pa.Array, Faults]:
        """Single values as text; objects and arrays are faults."""
        texts: list[str | None] = [None] * len(self.rows)
        faults: Faults = {}
        for i in range(len(self.rows)):
            try:
                value = self._value(i, path)
                texts[i] = None if value is None else _text(value, path)
            except WrongShapeError as error:
                faults[i] = str(error)
        return pa.array(texts, pa.string()), faults

    def objects(self, path: Path) -> list[Any]:
        """Values at the path; None where the row has another shape."""
        return list(self._objects(path))

    def _objects(self, path: Path) -> Iterator[Any]:
        for i in range(len(self.rows)):
            try:
                yield self._value(i, path, every=path.is_list)
            except WrongShapeError:
                yield None

    def raw(self, index: int) -> object:
        """The row."""
        return self.rows[index]

    def _value(self, i: int, path: Path, *, every: bool = False) -> Any:
        row = self.rows[i]
        if path.text[0] == DOCUMENT:
            if path.text == FILE_NAME:
                return self.files[i].rpartition("/")[2]
            path, row = path.in_document, self.documents[i]
        return list(path.values(row)) or None if every else path.first(row)


def _text(value: object, path: Path) -> str:
    if isinstance(value, dict | list):
        raise WrongShapeError(f"{path.text} is {describe(value)}, not a single value")
    if isinstance(value, bool):
        return "true" if value else "false"  # JSON spelling, which `parse_booleans` reads
    return str(value).encode("utf-8", "replace").decode()  # JSON may hold half a surrogate pair: no UTF-8 for it


@dataclass(frozen=True)
class Titles:
    """Column titles of a file, without blanks around them; keys may be joined by dots or slashes."""

    names: Sequence[str]

    @cached_property
    def _by_key(self) -> dict[str, str]:
        # Reversed, so that of equal titles the first one counts.
        return {_key(name): name for name in reversed(self.names)}

    @cached_property
    def _lists(self) -> dict[str, list[str]]:
        """Titles of columns over which an array is spread, by the path with `[]` for their numbers."""
        lists: dict[str, list[str]] = {}
        for name in self.names:
            if _NUMBERED.search(_key(name)):
                lists.setdefault(_NUMBERED.sub("[]", _key(name)), []).append(name)
        return lists

    def find(self, path: Path) -> list[str]:
        """Titles of the columns that hold a path: one, or several over which an array is spread."""
        key = _key(path.text)
        numbered = re.sub(r"\[(\d+)\]", r".\1", key)
        for text in (key, numbered):
            if text in self._by_key:
                return [self._by_key[text]]
        root = _root(path)  # a nested column of Parquet
        return self._lists.get(key) or ([self._by_key[root]] if root != key and root in self._by_key else [])


def _key(title: str) -> str:
    return title.strip().replace("/", ".")


def _root(path: Path) -> str:
    return re.split(r"[.\[]", _key(path.text), maxsplit=1)[0]


@dataclass(frozen=True)
class TableRows:
    """Rows of a table, with its columns by title. `table.slice(i, 1)` is the raw row i."""

    columns: Mapping[str, pa.Array]
    titles: Titles
    numbers: npt.NDArray[np.int64]
    file: str
    table: pa.RecordBatch
    broken: Sequence[BrokenRow] = field(default=())

    def has(self, path: Path) -> bool:
        """Whether the table has the column."""
        return path.text == FILE_NAME or bool(self.titles.find(path))

    def texts(self, path: Path) -> tuple[pa.Array, Faults]:
        """The column; of several, or of a nested one, the first value of each row."""
        if path.text == FILE_NAME:
            name = self.file.rpartition("/")[2]
            return pa.array([name] * len(self.numbers), pa.string()), {}
        names = self.titles.find(path)
        # The title is the path itself, perhaps with numbers instead of brackets: nothing to look up inside the values.
        whole = len(names) == 1 and (_key(names[0]) == _key(path.text) or _key(names[0]) != _root(path))
        if whole:
            return self.columns[names[0]], {}
        if len(names) == 1 and not pa.types.is_nested(self.columns[names[0]].type):
            return pa.nulls(len(self.numbers), pa.string()), {}  # nothing can be looked up in a text
        firsts = [value[0] if isinstance(value, list) and value else value for value in self.objects(path)]
        texts = [None if value is None or isinstance(value, list | dict) else str(value) for value in firsts]
        return pa.array(texts, pa.string()), {}

    def objects(self, path: Path) -> list[Any]:
        """Values of the columns of a path as Python objects."""
        names = self.titles.find(path)
        if not names:
            return [None] * len(self.numbers)
        columns = [self.columns[name].to_pylist() for name in names]
        if len(names) > 1:
            # An array that is spread over numbered columns: a row with fewer items leaves the last cells empty.
            return [[value for value in values if value] for values in zip(*columns, strict=True)]
        nested = pa.types.is_nested(self.columns[names[0]].type) and _key(names[0]) != _key(path.text)
        return [_inside(value, path) for value in columns[0]] if nested else columns[0]

    def raw(self, index: int) -> object:
        """The row as a dictionary; bytes that are not UTF-8 are replaced."""
        row = self.table.slice(index, 1).to_pylist()[0]
        return {
            name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value for name, value in row.items()
        }


def _inside(value: Any, path: Path) -> Any:
    """Value below the first key of a path."""
    root = path.steps[0]
    found = list(path.values({root: value}))
    return found if path.is_list else next(iter(found), None)


def join_texts(arrays: Sequence[pa.Array]) -> pa.Array:
    """Join texts with a blank; null where all are."""
    if len(arrays) == 1:
        return arrays[0]
    texts = [pc.fill_null(array.cast(pa.string()), "") for array in arrays]
    return empty_to_null(pc.utf8_trim_whitespace(pc.binary_join_element_wise(*texts, " ")))


def empty_to_null(texts: pa.Array) -> pa.Array:
    """Replace blank texts by null; other types stay."""
    if not pa.types.is_string(texts.type):
        return texts
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), pa.scalar(None, pa.string()), texts)


def dump_row(row: object) -> str:
    """Write a row as JSON, for a reject."""
    return json.dumps(row, ensure_ascii=False, default=str)
