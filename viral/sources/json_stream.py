"""Rows out of a JSON file of any size, one at a time: an array, an object that holds one, or one object a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import ijson

from viral.errors import SourceError
from viral.sources.parsed import Broken

OpenFile = Callable[[str], BinaryIO]

_BOM = b"\xef\xbb\xbf"
_LINE_SUFFIXES = (".jsonl", ".ndjson")
_LINE_LIMIT = 1 << 24


def stream(open_file: OpenFile, file: str, *, key: str, mark: str) -> Iterator[tuple[int, object] | Broken]:
    """The rows of a JSON file with their numbers from 1, read with bounded memory.

    A file that breaks off gives the rows before the break and one `Broken` for the break; of a file of lines, only the
    bad lines are broken.

    Args:
        open_file: opens a path or URI for reading; called up to three times.
        file: the file.
        key: name of the array that holds the rows, where the file is an object.
        mark: a key that every row has, by which an object that is itself a row is told from another kind of file.

    Raises:
        SourceError: the file is no JSON from its start, or holds neither rows nor an array called `key`.
    """
    if PurePosixPath(file).suffix in _LINE_SUFFIXES:
        return _lines(open_file, file)
    prefix = _prefix(open_file, file, key, mark)
    if prefix == "" and _first_line_is_whole(open_file, file):
        return _lines(open_file, file)
    return _items(open_file, file, prefix)


def _prefix(open_file: OpenFile, file: str, key: str, mark: str) -> str:
    """Where the rows are, in the notation of ijson: found from the beginning of the file."""
    keys: list[str] = []
    with _open(open_file, file) as stream:
        try:
            for prefix, event, value in ijson.parse(stream, multiple_values=True):
                if event == "start_array" and (prefix == "" or prefix.split(".")[-1] == key):
                    return f"{prefix}.item".lstrip(".")
                if prefix == "" and event == "map_key":
                    keys.append(value)
                elif prefix == "" and event != "start_map":
                    break
        except ijson.JSONError as error:
            raise SourceError(f"{file} is not JSON: {_brief(error)}") from None
    if mark in keys:
        return ""
    raise SourceError(
        f"{file} holds no posts: expected an array, an object with {key!r}, or posts with {mark!r}; "
        f"it holds {', '.join(keys[:20]) or 'a single value'}"
    )


def _items(open_file: OpenFile, file: str, prefix: str) -> Iterator[tuple[int, object] | Broken]:
    row = 0
    with _open(open_file, file) as stream:
        try:
            for row, item in enumerate(ijson.items(stream, prefix, multiple_values=True, use_float=True), start=1):
                yield row, item
        except ijson.JSONError as error:
            yield Broken(row + 1, f"the JSON breaks off here, what follows is lost: {_brief(error)}", "")


def _lines(open_file: OpenFile, file: str) -> Iterator[tuple[int, object] | Broken]:
    with _open(open_file, file) as stream:
        for row, line in enumerate((line for line in stream if line.strip()), start=1):
            try:
                yield row, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield Broken(row, f"the line is not JSON: {error}", line.decode("utf-8", "replace"))


def _first_line_is_whole(open_file: OpenFile, file: str) -> bool:
    with _open(open_file, file) as stream:
        try:
            json.loads(stream.readline(_LINE_LIMIT))
        except ValueError:
            return False
    return True


def _open(open_file: OpenFile, file: str) -> BinaryIO:
    """The file behind its byte order mark, which ijson does not take."""
    stream = open_file(file)
    if stream.read(len(_BOM)) == _BOM:
        return stream
    stream.close()
    return open_file(file)


def _brief(error: Exception) -> str:
    reason: Any = error.args[0] if error.args else error
    said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    return said.strip().splitlines()[0] if said.strip() else "it ends too early"
