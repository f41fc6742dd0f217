"""CSV adapter: UTF-8, comma-separated, with a header line and optionally a byte order mark."""

from __future__ import annotations

import csv as csv_module
import io
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

from viral.errors import SourceError
from viral.sources.columns import resolve_columns
from viral.sources.json_stream import OpenFile
from viral.sources.parsed import MAX_RAW_CHARACTERS, BrokenRow, RawBatch

_NOT_UTF8 = "the row is not UTF-8: save the file in UTF-8"
_AFTER_THE_END = "after the end of the file"
_BLOCK_BYTES = 8 << 20  # a row must fit into one block; larger blocks only cost memory


def raw_batches(
    open_file: OpenFile, file: str, columns: Mapping[str, str] | None, batch_rows: int
) -> Iterator[RawBatch]:
    """Yield the rows of a CSV file in batches.

    A row with too few or too many values, or that is not UTF-8, becomes a `BrokenRow`.

    Raises:
        ConfigError: the column map does not fit the file.
        SourceError: the file is not CSV, or has no column for `post_id`.
    """
    names = _header(open_file, file)
    by_title = {name.strip(): name for name in names}
    resolved = resolve_columns([name.strip() for name in names], columns, file)
    column_map = {target: by_title[title] for target, title in resolved.items()}
    _check_quotes(open_file, file)
    numbers = _RowNumbers(len(names))
    with open_file(file) as stream:  # second pass: the header determines the column types
        for block in _blocks(_open_csv(stream, file, names, numbers), file, batch_rows):
            yield _batch(block, column_map, numbers)
    if broken := numbers.pop_all():
        yield RawBatch({}, np.empty(0, np.int64), lambda _: None, broken=broken)


@dataclass
class _RowNumbers:
    """Counter of row numbers: pyarrow leaves malformed rows out of its blocks and reports them to `skip`."""

    width: int
    malformed: dict[int, tuple[str, str]] = field(default_factory=dict)
    last: int = 0

    def skip(self, row: csv.InvalidRow) -> str:
        reason = f"{row.actual_columns} values where the header has {self.width}"
        self.malformed[row.number - 1] = reason, row.text[:MAX_RAW_CHARACTERS]  # pyarrow counts the header as row 1
        return "skip"

    def take(self, size: int) -> tuple[npt.NDArray[np.int64], list[BrokenRow]]:
        """Return the numbers (size,) of the next good rows, and the malformed rows that come before the last one."""
        # Every row from here on is either good or malformed.
        candidates = np.arange(self.last + 1, self.last + size + len(self.malformed) + 1)
        malformed = np.array(list(self.malformed), dtype=np.int64)
        good = np.setdiff1d(candidates, malformed, assume_unique=True)[:size]
        self.last = int(good[-1]) if size else self.last
        return good, self._pop([row for row in self.malformed if row < self.last])

    def pop_all(self) -> list[BrokenRow]:
        return self._pop(list(self.malformed))

    def _pop(self, rows: list[int]) -> list[BrokenRow]:
        popped = [(row, *self.malformed.pop(row)) for row in rows]
        return [BrokenRow(row, reason, json.dumps(text, ensure_ascii=False)) for row, reason, text in popped]


def _header(open_file: OpenFile, file: str) -> list[str]:
    with open_file(file) as stream, closing(_open_csv(stream, file, [], _RowNumbers(0))) as reader:
        try:
            return list(reader.schema.names)
        except UnicodeDecodeError:
            raise SourceError(f"{file} is not UTF-8: save it in UTF-8") from None


def _open_csv(stream: object, file: str, names: list[str], numbers: _RowNumbers) -> csv.CSVStreamingReader:
    try:
        return csv.open_csv(
            stream,
            # With threads, pyarrow does not number the malformed rows.
            read_options=csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=numbers.skip),
            # Read bytes: with text columns, a single byte that is not UTF-8 would fail the whole file.
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()), strings_can_be_null=False, check_utf8=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise SourceError(f"{file} is not CSV: {error}") from None


def _blocks(reader: csv.CSVStreamingReader, file: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
    try:
        for block in reader:
            yield from (block.slice(start, batch_rows) for start in range(0, block.num_rows, batch_rows))
    except pa.ArrowInvalid as error:
        raise SourceError(f"{file} is not CSV: {error}") from None


def _batch(block: pa.RecordBatch, column_map: Mapping[str, str], numbers: _RowNumbers) -> RawBatch:
    rows, broken = numbers.take(block.num_rows)
    names = list(dict.fromkeys(column_map.values()))
    foreign = np.logical_or.reduce([_not_utf8(block.column(name)) for name in names])
    if foreign.any():
        numbered = zip(rows[foreign], block.filter(pa.array(foreign)).to_pylist(), strict=True)
        broken += [BrokenRow(int(row), _NOT_UTF8, _as_json(values)) for row, values in numbered]
        block, rows = block.filter(pa.array(~foreign)), rows[~foreign]
    texts = {name: block.column(name).cast(pa.string()) for name in names}
    return RawBatch(
        columns={target: texts[name] for target, name in column_map.items()},
        rows=rows,
        raw=lambda i: _decode_row(block.slice(i, 1).to_pylist()[0]),
        labels=column_map,
        broken=broken,
    )


def _not_utf8(column: pa.Array) -> npt.NDArray[np.bool_]:
    """Mask of the values that are not UTF-8."""
    try:
        column.cast(pa.string())
    except pa.ArrowInvalid:
        return np.array([not _is_utf8(value) for value in column.to_pylist()], bool)
    return np.zeros(len(column), bool)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decode_row(values: Mapping[str, bytes]) -> dict[str, str]:
    return {name: value.decode("utf-8", "replace") for name, value in values.items()}


def _as_json(values: Mapping[str, bytes]) -> str:
    return json.dumps(_decode_row(values), ensure_ascii=False)


def _check_quotes(open_file: OpenFile, file: str) -> None:
    """Raise SourceError if a quoted value is never closed: the rest of the file would be one value."""
    quotes = 0
    with open_file(file) as stream:
        while block := stream.read(_BLOCK_BYTES):
            quotes += block.count(b'"')
    if quotes % 2 and (line := _open_row(open_file, file)):
        raise SourceError(f"{file} has a quote that is never closed, in or near line {line}: fix it")


def _open_row(open_file: OpenFile, file: str) -> int | None:
    """Number of the line at which a row begins that has no end; None if every row ends."""
    csv_module.field_size_limit(sys.maxsize)
    with open_file(file) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
        reader = csv_module.reader(itertools.chain(text, [_AFTER_THE_END]))
        last, begin, end = list[str](), 1, 0
        for row in reader:
            last, begin, end = row, end + 1, reader.line_num
    return None if last == [_AFTER_THE_END] else begin
