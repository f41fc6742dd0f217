"""CSV files: with any delimiter, with or without lines above the header, in UTF-8 or another encoding."""

from __future__ import annotations

import csv as csv_module
import io
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

from viral.errors import SourceError
from viral.sources.opened import OpenFile, open_utf8
from viral.sources.parsed import MAX_RAW_CHARACTERS, BrokenRow
from viral.sources.rows import TableRows, Titles
from viral.sources.source_map import CsvLayout

_NOT_UTF8 = "the row is not UTF-8: name the encoding of the file (--encoding), for example cp1252"
_AFTER_THE_END = "after the end of the file"
_BLOCK_BYTES = 8 << 20  # a row must fit into one block; larger blocks only cost memory
_HEAD_LINES = 20  # from which delimiter and header are recognised
# The usual one first: it wins where several fit equally well.
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class CsvHead:
    """Start of a CSV file: its delimiter, the lines above the header, the titles, and some rows as text."""

    delimiter: str
    skip_lines: int
    titles: list[str]
    rows: list[list[str]]


def read_head(open_file: OpenFile, file: str, encoding: str | None, layout: CsvLayout) -> CsvHead:
    """Read the start of a CSV file, and recognise what the layout leaves open.

    Raises:
        SourceError: the file is empty, or its titles are not UTF-8.
    """
    with open_utf8(open_file, file, encoding) as stream:
        lines = [line for line, _ in zip(stream, range(_HEAD_LINES + (layout.skip_lines or 0)), strict=False)]
    if not any(line.strip() for line in lines):
        raise SourceError(f"{file} is not CSV: it is empty")
    texts = [line.decode("utf-8", "replace") for line in lines]
    # The default limit of 128 kB would fail on longer values.
    csv_module.field_size_limit(sys.maxsize)
    delimiter = layout.delimiter or _delimiter(texts)
    skip = layout.skip_lines if layout.skip_lines is not None else _lines_above(texts, delimiter)
    try:
        first = next(line for line in lines[skip:] if line.strip()).decode()
    except UnicodeDecodeError:
        raise SourceError(f"{file} is not UTF-8: name its encoding (--encoding), for example cp1252") from None
    except StopIteration:
        raise SourceError(f"{file} is not CSV: it has no line after {skip}") from None
    rows = [row for row in csv_module.reader(texts[skip:], delimiter=delimiter) if row]
    # The number of values of the first row stands for that of the header.
    width = len(next(csv_module.reader([first], delimiter=delimiter)))
    titles = rows[0] if layout.header else [str(number) for number in range(1, width + 1)]
    return CsvHead(delimiter, skip, titles, rows[1 if layout.header else 0 :])


def csv_rows(
    open_file: OpenFile,
    file: str,
    head: CsvHead,
    titles: Iterable[str],
    encoding: str | None,
    layout: CsvLayout,
    size: int,
) -> Iterator[TableRows]:
    """Yield the rows of a CSV file in batches, with only the columns that have one of `titles`.

    A row with too few or too many values, or that is not UTF-8, becomes a `BrokenRow`.

    Raises:
        SourceError: the file is not CSV, has a quote that is never closed, or has one of the titles twice.
    """
    needed = list(titles)
    if twice := [title for title, count in Counter(head.titles).items() if count > 1 and title in needed]:
        raise SourceError(f"{file} has the column {twice[0]!r} more than once: rename the others")
    # Before pyarrow reads the file: it would take the rest of it for one value.
    _check_quotes(open_file, file, encoding, head)
    numbers = _RowNumbers(len(head.titles), int(layout.header))
    with open_utf8(open_file, file, encoding) as stream:
        for _ in range(head.skip_lines):
            stream.readline()
        reader = _open_csv(stream, file, head, numbers, header=layout.header)
        with closing(reader):
            for block in _blocks(reader, file, size):
                yield _rows(block, needed, numbers, file, Titles(head.titles))
    # Rows that follow the last good one belong to no block.
    if broken := numbers.pop_all():
        empty = pa.record_batch({})
        yield TableRows({}, Titles([]), np.empty(0, np.int64), file, empty, broken)


@dataclass
class _RowNumbers:
    """Counter of row numbers: pyarrow leaves malformed rows out of its blocks and reports them to `skip`."""

    width: int
    headers: int
    malformed: dict[int, tuple[str, str]] = field(default_factory=dict)
    last: int = 0

    def skip(self, row: csv.InvalidRow) -> str:
        """Note a row of another width than the header; pyarrow calls this for each."""
        reason = f"{row.actual_columns} values where the header has {self.width}"
        self.malformed[row.number - self.headers] = reason, row.text[:MAX_RAW_CHARACTERS]  # the header counts as row 1
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
        """Return the malformed rows that are left."""
        return self._pop(list(self.malformed))

    def _pop(self, rows: list[int]) -> list[BrokenRow]:
        popped = [(row, *self.malformed.pop(row)) for row in rows]
        return [BrokenRow(row, reason, json.dumps(text, ensure_ascii=False)) for row, reason, text in popped]


def _delimiter(texts: Sequence[str]) -> str:
    """Delimiter that gives the lines the same number of values, and most of them."""

    def score(delimiter: str) -> tuple[int, int]:
        """Lines of the most common width times its separators; among equals the earlier delimiter wins."""
        widths = Counter(len(row) for row in csv_module.reader(texts, delimiter=delimiter) if len(row) > 1)
        [(width, count)] = widths.most_common(1) or [(1, 0)]
        return count * (width - 1), -_DELIMITERS.index(delimiter)

    return max(_DELIMITERS, key=score)


def _lines_above(texts: Sequence[str], delimiter: str) -> int:
    """Number of lines above the header: those of a single value, or that fill less than half of the usual columns."""
    lines = [next(csv_module.reader([text], delimiter=delimiter), []) for text in texts]
    [(width, _)] = Counter(len(row) for row in csv_module.reader(texts, delimiter=delimiter) if row).most_common(1)
    for number, row in enumerate(lines):
        filled = sum(bool(value.strip()) for value in row)
        if filled > 1 and 2 * filled >= width:
            return number if number and len(row) > 2 else 0
    return 0


def _open_csv(
    stream: object, file: str, head: CsvHead, numbers: _RowNumbers, *, header: bool
) -> csv.CSVStreamingReader:
    try:
        return csv.open_csv(
            stream,
            # With threads, pyarrow does not number the malformed rows.
            read_options=csv.ReadOptions(
                use_threads=False, block_size=_BLOCK_BYTES, column_names=None if header else head.titles
            ),
            parse_options=csv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=numbers.skip, delimiter=head.delimiter
            ),
            # Read bytes: with text columns, a single byte that is not UTF-8 would fail the whole file.
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(head.titles, pa.binary()), strings_can_be_null=False, check_utf8=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise SourceError(f"{file} is not CSV: {error}") from None


def _blocks(reader: csv.CSVStreamingReader, file: str, size: int) -> Iterator[pa.RecordBatch]:
    try:
        for block in reader:
            yield from (block.slice(start, size) for start in range(0, block.num_rows, size))
    except pa.ArrowInvalid as error:
        raise SourceError(f"{file} is not CSV: {error}") from None


def _rows(block: pa.RecordBatch, needed: Sequence[str], numbers: _RowNumbers, file: str, titles: Titles) -> TableRows:
    rows, broken = numbers.take(block.num_rows)
    # Only needed columns decide: bytes in a column that nobody reads cost no post.
    foreign = np.zeros(block.num_rows, bool)
    for name in needed:
        foreign |= _not_utf8(block.column(name))
    if foreign.any():
        numbered = zip(rows[foreign], block.filter(pa.array(foreign)).to_pylist(), strict=True)
        broken += [BrokenRow(int(row), _NOT_UTF8, _as_json(values)) for row, values in numbered]
        block, rows = block.filter(pa.array(~foreign)), rows[~foreign]
    columns = {name: block.column(name).cast(pa.string()) for name in needed}
    return TableRows(columns, titles, rows, file, block, broken)


def _not_utf8(column: pa.Array) -> npt.NDArray[np.bool_]:
    """Mask of the values that are not UTF-8."""
    try:
        # The whole column at once: nearly all are UTF-8.
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


def _as_json(values: dict[str, bytes]) -> str:
    texts = {name: value.decode("utf-8", "replace") for name, value in values.items()}
    return json.dumps(texts, ensure_ascii=False)


def _check_quotes(open_file: OpenFile, file: str, encoding: str | None, head: CsvHead) -> None:
    """Raise SourceError if a quoted value is never closed: the rest of the file would be one value."""
    quotes = 0
    with open_utf8(open_file, file, encoding) as stream:
        while block := stream.read(_BLOCK_BYTES):
            quotes += block.count(b'"')
    # An odd number alone proves nothing, since a lone quote within a value is allowed.
    if quotes % 2 and (line := _open_row(open_file, file, encoding, head)):
        raise SourceError(f"{file} has a quote that is never closed, in or near line {line}: fix it")


def _open_row(open_file: OpenFile, file: str, encoding: str | None, head: CsvHead) -> int | None:
    """Number of the line at which a row begins that has no end; None if every row ends."""
    with open_utf8(open_file, file, encoding) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
        reader = csv_module.reader(itertools.chain(text, [_AFTER_THE_END]), delimiter=head.delimiter)
        # A line is appended after the end: a row that is still open swallows it, and so is no row of its own.
        last, begin, end = list[str](), 1, 0
        for row in reader:
            last, begin, end = row, end + 1, reader.line_num
    return None if last == [_AFTER_THE_END] else begin
