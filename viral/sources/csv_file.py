"""CSV adapter: UTF-8, comma-separated, with a header line and optionally a byte order mark."""

from __future__ import annotations

import json
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

_BLOCK_BYTES = 8 << 20  # a row must fit into one block; larger blocks only cost memory


def raw_batches(
    open_file: OpenFile, file: str, columns: Mapping[str, str] | None, batch_rows: int
) -> Iterator[RawBatch]:
    """Yield the rows of a CSV file in batches. A row with too few or too many values becomes a `BrokenRow`.

    Raises:
        ConfigError: the column map does not fit the file.
        SourceError: the file is not CSV, or has no column for `post_id`.
    """
    names = _header(open_file, file)
    column_map = resolve_columns(names, columns, file)
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
    texts = {name: _decode_column(block.column(name)) for name in dict.fromkeys(column_map.values())}
    rows, broken = numbers.take(block.num_rows)
    return RawBatch(
        columns={target: texts[name] for target, name in column_map.items()},
        rows=rows,
        raw=lambda i: {name: _decode(value) for name, value in block.slice(i, 1).to_pylist()[0].items()},
        labels=column_map,
        broken=broken,
    )


def _decode_column(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:  # not all UTF-8: replace the bad bytes
        return pa.array([_decode(value) for value in column.to_pylist()], pa.string())


def _decode(value: bytes) -> str:
    return value.decode("utf-8", "replace")
