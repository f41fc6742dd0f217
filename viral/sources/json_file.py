"""JSON files of any size: an array, an object that holds arrays, or one document per line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ijson
import numpy as np

from viral.errors import SourceError
from viral.sources.expressions import ANY_KEY, Path, WrongShapeError, describe
from viral.sources.opened import OpenFile, open_utf8, plain_name
from viral.sources.parsed import MAX_RAW_CHARACTERS, BrokenRow
from viral.sources.rows import JsonRows, dump_row
from viral.sources.source_map import default_rows, is_itself

_LINE_SUFFIXES = (".jsonl", ".ndjson", ".jl")
_HEAD_BYTES = 1 << 20  # enough for 20 posts of 20 kB, from which a file is recognised
_MAX_NAN_BYTES = 256 << 20  # of a file that is read as a whole: some 2 GB as Python objects
_MAX_DEPTH = 3  # keys above the array of rows


@dataclass(frozen=True)
class JsonHead:
    """Start of a JSON file: whether documents are lines or items of an array, the first documents, and their arrays.

    A document that goes on beyond the head is cut.
    """

    lines: bool
    array: bool
    documents: tuple[Any, ...]

    def arrays(self) -> list[str]:
        """Paths of the arrays of objects in the first document, the shallow ones first."""
        found = list(_arrays(self.documents[0], "", 0)) if self.documents else []
        return sorted(found, key=lambda path: path.count("."))

    def rows(self, paths: Sequence[Path]) -> list[tuple[Any, Any]]:
        """Rows of the first documents, each with its document: those at the first path that a document has."""
        return [pair for document in self.documents for pair in _rows_of(document, paths)]


@dataclass(frozen=True)
class _Row:
    number: int
    row: Any
    document: Any


def read_head(open_file: OpenFile, file: str, encoding: str | None) -> JsonHead:
    """Read the start of a JSON file. Raises SourceError if it is not JSON, or a single value."""
    with open_utf8(open_file, file, encoding) as stream:
        head = stream.read(_HEAD_BYTES)
    whole = len(head) < _HEAD_BYTES
    lines = [line for line in head.splitlines() if line.strip()]
    if plain_name(file).endswith(_LINE_SUFFIXES):
        return JsonHead(True, False, tuple(_parse_lines(lines if whole else lines[:-1])))
    if len(lines) > 1 and lines[0].lstrip()[:1] == b"{" and list(_parse_lines(lines[:1])):
        return JsonHead(True, False, tuple(_parse_lines(lines if whole else lines[:-1])))
    documents = _parse_whole(head) if whole else None
    documents = _parse_part(head, file) if documents is None else documents
    first = documents[0] if documents else None
    if isinstance(first, list):
        return JsonHead(False, True, tuple(first if whole else first[:-1] or first))
    if not isinstance(first, dict):
        raise SourceError(f"{file} holds no posts: expected objects of JSON, but it holds {describe(first)}")
    return JsonHead(False, False, tuple(documents))


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
    paths = paths or default_rows(head.arrays())
    if head.lines or head.array:
        stream = _lines(open_file, file, encoding) if head.lines else _items(open_file, file, "item", encoding)
        rows = _number(
            _rows_of(document, paths) if not isinstance(document, BrokenRow) else [document] for document in stream
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
    [row] = [*_rows_of(document, paths), (None, document)][:1]
    return _check(_Row(number, row[0], row[1]))


def _rows_of(document: Any, paths: Sequence[Path]) -> Iterator[tuple[Any, Any]]:
    """Yield the rows of a document, each with the document: those at the first path that it has."""
    rows = next((rows for path in paths if (rows := rows_at(document, path)) is not None), [document])
    return ((row, document) for row in rows)


def rows_at(document: Any, path: Path) -> list[Any] | None:
    """Rows of a document at a path; None if the document has no such path."""
    if is_itself(path):
        return [document]
    try:
        first = next(Path(_head(path)).values(document), None) if _head(path) else document
        if first is None:
            return None
        return list(path.values(document))
    except WrongShapeError:
        return None


def _head(path: Path) -> str:
    """Keys of a path before its first array or any key, joined by dots."""
    keys = []
    for step in path.steps:
        if step is None or step == ANY_KEY:
            break
        keys.append(str(step))
    return ".".join(keys)


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
    rest = path.steps[len(_head(path).split(".")) if _head(path) else 0 :]
    if is_itself(path) or not rest:
        yield from (
            (row, document)
            for document in _items(open_file, file, "", encoding)
            for row, document in _whole(document, path)
        )
        return
    document = _envelope(open_file, file, document_paths, encoding)
    prefix = ".".join(filter(None, [_head(path), "item" if rest[0] is None else ""]))
    inner = Path(_join(rest[1:]))
    for item in _items(open_file, file, prefix, encoding, pairs=rest[0] == ANY_KEY):
        if isinstance(item, BrokenRow):
            yield item
        else:
            yield from ((row, document) for row in (inner.values(item) if inner.text else [item]))


def _whole(document: Any, path: Path) -> Iterator[tuple[Any, Any]]:
    if isinstance(document, BrokenRow):
        return iter([(document, None)])
    return _rows_of(document, [path])


def _join(steps: Sequence[str | int | None]) -> str:
    return "".join(
        "[]" if step is None else f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps
    ).lstrip(".")


def _envelope(open_file: OpenFile, file: str, paths: Iterable[str], encoding: str | None) -> dict[str, Any]:
    """Values of the document that its rows share, at the paths alone."""
    document: dict[str, Any] = {}
    for path in paths:
        with open_utf8(open_file, file, encoding) as stream:
            try:
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
            rest = [] if pairs else _items_with_nan(open_file, file, prefix, encoding)[count:]
            yield from rest
            if not rest:
                yield BrokenRow(0, f"the JSON breaks off here, later rows are lost: {_message(error)}", "")


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
    for key in prefix.split(".")[:-1]:
        value = value[key]
    return value if isinstance(value, list) else []


def _lines(open_file: OpenFile, file: str, encoding: str | None) -> Iterator[Any]:
    with open_utf8(open_file, file, encoding) as stream:
        for line in stream:
            if line.strip():
                try:
                    document = json.loads(line)
                    yield from document if isinstance(document, list) else [document]
                except (ValueError, RecursionError) as error:  # RecursionError: deeply nested input
                    yield BrokenRow(0, f"the line is not JSON: {error}", line.decode("utf-8", "replace"))


def _number(documents: Iterable[Iterable[tuple[Any, Any] | BrokenRow]]) -> Iterator[_Row | BrokenRow]:
    number = 0
    for rows in documents:
        for row in rows:
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


def _parse_lines(lines: Iterable[bytes]) -> Iterator[Any]:
    for line in lines:
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            continue
        yield from document if isinstance(document, list) else [document]


def _parse_whole(content: bytes) -> list[Any] | None:
    try:
        return [json.loads(content)]
    except (ValueError, RecursionError):
        return None


def _parse_part(content: bytes, file: str) -> list[Any]:
    """Parse the first document as far as it goes."""
    builder, depth, events = ijson.ObjectBuilder(), 0, 0
    try:
        for event, value in ijson.basic_parse(io.BytesIO(content), multiple_values=True, use_float=True):
            builder.event(event, value)
            depth += event.startswith("start_") - event.startswith("end_")
            events += 1
            if not depth:
                break
    except ijson.JSONError as error:
        if events < 2:
            raise SourceError(f"{file} is not JSON: {_message(error)}") from None
    return [builder.value] if events else []


def _arrays(value: Any, path: str, depth: int) -> Iterator[str]:
    """Paths of the arrays of objects within a value; `*` where several keys hold arrays of the same objects."""
    if not isinstance(value, dict) or depth > _MAX_DEPTH:
        return
    arrays = {key: inner[0].keys() for key, inner in value.items() if _holds_objects(inner)}
    if len(arrays) > 1 and len(set.intersection(*map(set, arrays.values()))) * 2 > len(
        set.union(*map(set, arrays.values()))
    ):
        yield f"{path}.{ANY_KEY}[]".lstrip(".")
        return
    for key, inner in value.items():
        below = f"{path}.{key}".lstrip(".")
        if key in arrays:
            yield f"{below}[]"
        else:
            yield from _arrays(inner, below, depth + 1)


def _holds_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _message(error: Exception) -> str:
    reason: Any = error.args[0] if error.args else error
    text = (reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)).strip()
    return text.splitlines()[0] if text else "it ends too early"
