"""Streaming of rows from a JSON file of any size: an array, an object with an array, or one object per line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import ijson

from viral.errors import SourceError
from viral.sources.parsed import BrokenRow

OpenFile = Callable[[str], BinaryIO]

_BOM = b"\xef\xbb\xbf"  # UTF-8 byte order mark
_LINE_SUFFIXES = (".jsonl", ".ndjson", ".jl")
_MAX_NAN_BYTES = 256 << 20  # of a file that is read as a whole: some 2 GB as Python objects
_MAX_LINE_BYTES = 1 << 24  # far above a post's 20 kB; bounds the memory for a file without line breaks


def stream_rows(open_file: OpenFile, file: str, *, key: str, row_key: str) -> Iterator[tuple[int, object] | BrokenRow]:
    """Yield the rows of a JSON file with their numbers from 1, in bounded memory.

    A file that breaks off yields the rows before the break and one `BrokenRow`. With one object per line, a bad line
    loses only its own row.

    Args:
        open_file: opens a path or URI for reading; called more than once.
        file: path or URI of the file.
        key: name of the array with the rows, if the file is an object.
        row_key: a key that every row has; an object with it at the top level is a row itself.

    Raises:
        SourceError: the start of the file is not JSON, or the file has neither rows nor an array `key`.
    """
    if file.lower().removesuffix(".gz").endswith(_LINE_SUFFIXES):
        return _lines(open_file, file)
    prefix = _row_prefix(open_file, file, key, row_key)
    if prefix == "" and _first_line_is_json(open_file, file):  # one object per line, or objects over several lines
        return _lines(open_file, file)
    return _items(open_file, file, prefix)


def _row_prefix(open_file: OpenFile, file: str, key: str, row_key: str) -> str:
    """Return the prefix of the rows in ijson's notation; reads only the start of the file."""
    keys: list[str] = []
    with _open(open_file, file) as stream:
        try:
            for prefix, event, value in ijson.parse(stream, multiple_values=True):
                if event == "start_array" and (prefix == "" or prefix.split(".")[-1] == key):
                    return f"{prefix}.item".lstrip(".")
                if prefix == "" and event == "map_key":
                    keys.append(value)
                elif prefix == "" and event != "start_map":  # neither array nor object
                    break
        except ijson.JSONError as error:
            raise SourceError(f"{file} is not JSON: {_message(error)}") from None
    if row_key in keys:
        return ""
    raise SourceError(
        f"{file} holds no posts: expected an array, an object with {key!r}, or posts with {row_key!r}; "
        f"it holds {', '.join(keys[:20]) or 'a single value'}"  # 20 keys suffice to recognise a file
    )


def _items(open_file: OpenFile, file: str, prefix: str) -> Iterator[tuple[int, object] | BrokenRow]:
    row = 0
    with _open(open_file, file) as stream:
        try:
            # Floats, because a Decimal cannot be written back as JSON.
            for row, item in enumerate(ijson.items(stream, prefix, multiple_values=True, use_float=True), start=1):
                yield row, item
        except ijson.JSONError as error:
            rest = _items_with_nan(open_file, file, prefix)[row:]
            yield from enumerate(rest, start=row + 1)
            if not rest:
                yield BrokenRow(row + 1, f"the JSON breaks off here, later rows are lost: {_message(error)}", "")


def _items_with_nan(open_file: OpenFile, file: str, prefix: str) -> list[object]:
    """Read the rows of a file that has NaN or Infinity, which Python writes and no standard allows; else none."""
    with _open(open_file, file) as stream:
        content = stream.read(_MAX_NAN_BYTES + 1)
    try:
        value: Any = json.loads(content) if len(content) <= _MAX_NAN_BYTES else None
    except (ValueError, RecursionError):
        return []
    for key in prefix.split(".")[:-1]:
        value = value[key]
    return value if isinstance(value, list) else []


def _lines(open_file: OpenFile, file: str) -> Iterator[tuple[int, object] | BrokenRow]:
    with _open(open_file, file) as stream:
        for row, line in enumerate((line for line in stream if line.strip()), start=1):
            try:
                yield row, json.loads(line)
            except (ValueError, RecursionError) as error:  # RecursionError: deeply nested input
                yield BrokenRow(row, f"the line is not JSON: {error}", line.decode("utf-8", "replace"))


def _first_line_is_json(open_file: OpenFile, file: str) -> bool:
    with _open(open_file, file) as stream:
        try:
            json.loads(stream.readline(_MAX_LINE_BYTES))
        except ValueError:
            return False
    return True


def _open(open_file: OpenFile, file: str) -> BinaryIO:
    """Open the file and skip its byte order mark, which ijson does not accept."""
    stream = open_file(file)
    try:
        if stream.read(len(_BOM)) == _BOM:
            return stream
    except BaseException:
        stream.close()
        raise
    stream.close()
    return open_file(file)


def _message(error: Exception) -> str:
    reason: Any = error.args[0] if error.args else error
    text = (reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)).strip()
    return text.splitlines()[0] if text else "it ends too early"
