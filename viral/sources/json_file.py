"""JSON files of any size: an array, an object that holds arrays, or one document per line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ijson
import numpy as np

from viral.errors import SourceError
from viral.sources.expressions import ANY_KEY, Path, describe
from viral.sources.json_head import JsonHead, error_text, keys_before, read_head, rows_at, rows_of
from viral.sources.opened import OpenFile, open_utf8
from viral.sources.parsed import MAX_RAW_CHARACTERS, BrokenRow
from viral.sources.rows import JsonRows, dump_row
from viral.sources.source_map import default_rows, is_itself

_MAX_NAN_BYTES = 256 << 20  # of a file that is read as a whole: some 2 GB as Python objects


@dataclass(frozen=True)
class _Row:
    number: int
    row: Any
    document: Any


def json_rows(
    open_file: OpenFile,
    file: str,
    paths: Sequence[Path],
    document_paths: Iterable[str],
    encoding: str | None,
    size: int,
) -> Iterator[JsonRows]:
    """Yield the rows of a JSON file in batches, in bounded memory.

    A file that breaks off yields the rows before the break and one `BrokenRow`. With one document per line, a bad line
    loses only its own rows.

    Args:
        open_file: opens a path or URI for reading; called more than once.
        file: path or URI of the file.
        paths: paths from a document to its rows, in order of preference; without any, the document or its first array.
        document_paths: paths from a document to the values that all its rows share.
        encoding: that of the file, if it is not UTF-8.
        size: rows of a batch.

    Raises:
        SourceError: the start of the file is not JSON, or it has none of the paths.
    """
    head = read_head(open_file, file, encoding)
    # The array of rows is found in the first document alone; all others are taken to have the same form.
    paths = paths or default_rows(head.arrays())
    if head.lines or head.array:
        stream = _lines(open_file, file, encoding) if head.lines else _items(open_file, file, "item", encoding)
        rows = _number(
            rows_of(document, paths) if not isinstance(document, BrokenRow) else [document] for document in stream
        )
    else:
        rows = _number([_rows_of_object(open_file, file, head, paths, document_paths, encoding)])
    yield from _batches(rows, file, size)


def one_row_files(open_file: OpenFile, files: Sequence[str], paths: Sequence[Path], size: int) -> Iterator[JsonRows]:
    """Yield the rows of files that hold one post each, row n from the n-th file, in batches."""
    for start in range(0, len(files), size):
        some = files[start : start + size]
        rows = [_one_row(open_file, file, paths, start + i + 1) for i, file in enumerate(some)]
        good = [row for row in rows if isinstance(row, _Row)]
        yield _json_rows(
            good, [row for row in rows if isinstance(row, BrokenRow)], [files[row.number - 1] for row in good]
        )


def _one_row(open_file: OpenFile, file: str, paths: Sequence[Path], number: int) -> _Row | BrokenRow:
    with open_file(file) as stream:
        content = stream.read()
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:  # RecursionError: deeply nested input
        text = content[: 2 * MAX_RAW_CHARACTERS].decode("utf-8", "replace")
        return BrokenRow(number, f"the file is not JSON: {error}", text)
    # A file without a row becomes a row of None, which `_check` rejects.
    [row] = [*rows_of(document, paths), (None, document)][:1]
    return _check(_Row(number, row[0], row[1]))


def _rows_of_object(
    open_file: OpenFile,
    file: str,
    head: JsonHead,
    paths: Sequence[Path],
    document_paths: Iterable[str],
    encoding: str | None,
) -> Iterator[tuple[Any, Any] | BrokenRow]:
    """Rows of a single object: streamed where they lie in an array or below any key."""
    path = next((path for path in paths if rows_at(head.documents[0], path) is not None), None)
    if path is None:
        keys = ", ".join(list(head.documents[0])[:20])  # 20 keys suffice to recognise a file
        expected = " or ".join(path.text for path in paths)
        raise SourceError(f"{file} holds no posts: expected them at {expected}; it holds {keys}")
    # What remains below the array that is streamed.
    rest = path.steps[len(keys_before(path).split(".")) if keys_before(path) else 0 :]
    if is_itself(path) or not rest:
        yield from (
            (row, document)
            for document in _items(open_file, file, "", encoding)
            for row, document in _whole(document, path)
        )
        return
    # Streaming sees one row at a time: values that all rows share are read before, in passes of their own.
    document = _envelope(open_file, file, document_paths, encoding)
    prefix = ".".join(filter(None, [keys_before(path), "item" if rest[0] is None else ""]))
    inner = Path(_join(rest[1:]))
    for item in _items(open_file, file, prefix, encoding, pairs=rest[0] == ANY_KEY):
        if isinstance(item, BrokenRow):
            yield item
        else:
            yield from ((row, document) for row in (inner.values(item) if inner.text else [item]))


def _whole(document: Any, path: Path) -> Iterator[tuple[Any, Any]]:
    if isinstance(document, BrokenRow):
        return iter([(document, None)])
    return rows_of(document, [path])


def _join(steps: Sequence[str | int | None]) -> str:
    return "".join(
        "[]" if step is None else f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps
    ).lstrip(".")


def _envelope(open_file: OpenFile, file: str, paths: Iterable[str], encoding: str | None) -> dict[str, Any]:
    """Return the values at `paths` of the document around the rows, which all rows share, as nested objects."""
    document: dict[str, Any] = {}
    for path in paths:
        with open_utf8(open_file, file, encoding) as stream:
            try:
                # A pass per path: ijson stops as soon as it has the value, and there are few such paths.
                value = next(ijson.items(stream, path, use_float=True), None)
            except ijson.JSONError:
                continue
        inner = document
        *above, last = path.split(".")
        for key in above:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return document


def _items(open_file: OpenFile, file: str, prefix: str, encoding: str | None, *, pairs: bool = False) -> Iterator[Any]:
    """Yield the values at a prefix of ijson, or those of the keys there, then a `BrokenRow` if the file breaks off."""
    read = ijson.kvitems if pairs else ijson.items
    count = 0
    with open_utf8(open_file, file, encoding) as stream:
        try:
            # Floats, because a Decimal cannot be written back as JSON.
            for item in read(stream, prefix, multiple_values=True, use_float=True):
                count += 1
                yield item[1] if pairs else item
        except ijson.JSONError as error:
            # ijson refuses NaN and Infinity: go on from there with Python's parser, which reads them, if the file is
            # small.
            rest = [] if pairs else _items_with_nan(open_file, file, prefix, encoding)[count:]
            yield from rest
            if not rest:
                yield BrokenRow(0, f"the JSON breaks off here, later rows are lost: {error_text(error)}", "")


def _items_with_nan(open_file: OpenFile, file: str, prefix: str, encoding: str | None) -> list[Any]:
    """Read the rows of a file that has NaN or Infinity, which Python writes and no standard allows; else none."""
    with open_utf8(open_file, file, encoding) as stream:
        content = stream.read(_MAX_NAN_BYTES + 1)
    try:
        value: Any = json.loads(content) if len(content) <= _MAX_NAN_BYTES else None
    except (ValueError, RecursionError):
        return []
    if not prefix:
        return [value]
    # Without the last part, which stands for the items of the array.
    for key in prefix.split(".")[:-1]:
        value = value[key]
    return value if isinstance(value, list) else []


def _lines(open_file: OpenFile, file: str, encoding: str | None) -> Iterator[Any]:
    with open_utf8(open_file, file, encoding) as stream:
        for line in stream:
            if line.strip():
                try:
                    document = json.loads(line)
                    # A line may hold a page of results.
                    yield from document if isinstance(document, list) else [document]
                except (ValueError, RecursionError) as error:  # RecursionError: deeply nested input
                    yield BrokenRow(0, f"the line is not JSON: {error}", line.decode("utf-8", "replace"))


def _number(documents: Iterable[Iterable[tuple[Any, Any] | BrokenRow]]) -> Iterator[_Row | BrokenRow]:
    number = 0
    for rows in documents:
        for row in rows:
            # Broken rows count as well, so that the numbers are those of the file.
            number += 1
            if isinstance(row, BrokenRow) or isinstance(row[0], BrokenRow):
                broken = row if isinstance(row, BrokenRow) else row[0]
                yield BrokenRow(number, broken.reason, broken.raw)
            else:
                yield _check(_Row(number, *row))


def _check(row: _Row) -> _Row | BrokenRow:
    if isinstance(row.row, dict):
        return row
    return BrokenRow(row.number, f"the row is {describe(row.row)}, not an object", dump_row(row.row))


def _batches(rows: Iterable[_Row | BrokenRow], file: str, size: int) -> Iterator[JsonRows]:
    good: list[_Row] = []
    broken: list[BrokenRow] = []
    for row in rows:
        if isinstance(row, BrokenRow):
            broken.append(row)
        else:
            good.append(row)
        if len(good) + len(broken) >= size:
            yield _json_rows(good, broken, [file] * len(good))
            good, broken = [], []
    if good or broken:
        yield _json_rows(good, broken, [file] * len(good))


def _json_rows(good: Sequence[_Row], broken: Sequence[BrokenRow], files: Sequence[str]) -> JsonRows:
    numbers = np.array([row.number for row in good], np.int64)
    return JsonRows([row.row for row in good], numbers, [row.document for row in good], files, broken)
