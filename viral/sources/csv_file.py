"""Posts in a CSV file (UTF-8, comma, a header line; a byte order mark does no harm)."""

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
from viral.sources.columns import resolve
from viral.sources.json_stream import OpenFile
from viral.sources.parsed import RAW_LIMIT, Broken, RawBatch

# A row must fit in one block. Larger blocks only cost memory.
_BLOCK_BYTES = 8 << 20


def raw_batches(
    open_file: OpenFile, file: str, columns: Mapping[str, str] | None, batch_rows: int
) -> Iterator[RawBatch]:
    """The rows of a CSV file, in batches. A row with too few or too many values is a broken one.

    Raises:
        ConfigError: the column map does not fit the file.
        SourceError: the file is no CSV, or has no column for `post_id`.
    """
    names = _header(open_file, file)
    chosen = resolve(names, columns, file)
    numbers = _Numbers(len(names))
    with open_file(file) as stream:
        for block in _blocks(_reader(stream, file, names, numbers), file, batch_rows):
            yield _batch(block, chosen, numbers)
    if left := numbers.rest():
        yield RawBatch({}, np.empty(0, np.int64), lambda _: None, broken=left)


@dataclass
class _Numbers:
    """Gives each row its number in the file: the reader leaves out malformed rows and tells of them aside."""

    width: int
    malformed: dict[int, tuple[str, str]] = field(default_factory=dict)
    last: int = 0

    def note(self, row: csv.InvalidRow) -> str:
        self.malformed[row.number - 1] = (
            f"{row.actual_columns} values where the header has {self.width}",
            row.text[:RAW_LIMIT],
        )
        return "skip"

    def take(self, size: int) -> tuple[npt.NDArray[np.int64], list[Broken]]:
        """The numbers of the next `size` good rows, and the malformed ones before the last of them."""
        possible = np.arange(self.last + 1, self.last + size + len(self.malformed) + 1)
        good = np.setdiff1d(possible, np.array(list(self.malformed), dtype=np.int64), assume_unique=True)[:size]
        self.last = int(good[-1]) if size else self.last
        return good, self._drop([row for row in self.malformed if row < self.last])

    def rest(self) -> list[Broken]:
        return self._drop(list(self.malformed))

    def _drop(self, rows: list[int]) -> list[Broken]:
        told = [(row, *self.malformed.pop(row)) for row in rows]
        return [Broken(row, reason, json.dumps(text, ensure_ascii=False)) for row, reason, text in told]


def _header(open_file: OpenFile, file: str) -> list[str]:
    with open_file(file) as stream, closing(_reader(stream, file, [], _Numbers(0))) as reader:
        try:
            return list(reader.schema.names)
        except UnicodeDecodeError:
            raise SourceError(f"{file} is not UTF-8: save it as CSV in UTF-8") from None


def _reader(stream: object, file: str, names: list[str], numbers: _Numbers) -> csv.CSVStreamingReader:
    try:
        return csv.open_csv(
            stream,
            # Threads would lose the row numbers of malformed rows.
            read_options=csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=numbers.note),
            # Bytes, since one byte that is not UTF-8 would fail the whole file.
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()), strings_can_be_null=False, check_utf8=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise SourceError(f"{file} is not CSV: {error}") from None


def _blocks(reader: csv.CSVStreamingReader, file: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
    try:
        for block in reader:
            yield from (block.slice(at, batch_rows) for at in range(0, block.num_rows, batch_rows))
    except pa.ArrowInvalid as error:
        raise SourceError(f"{file} is not CSV: {error}") from None


def _batch(block: pa.RecordBatch, chosen: Mapping[str, str], numbers: _Numbers) -> RawBatch:
    texts = {name: _text(block.column(name)) for name in dict.fromkeys(chosen.values())}
    rows, broken = numbers.take(block.num_rows)
    return RawBatch(
        columns={target: texts[name] for target, name in chosen.items()},
        rows=rows,
        raw=lambda position: {k: _decode(v) for k, v in block.slice(position, 1).to_pylist()[0].items()},
        labels=chosen,
        broken=broken,
    )


def _text(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_decode(value) for value in column.to_pylist()], pa.string())


def _decode(value: bytes) -> str:
    return value.decode("utf-8", "replace")
