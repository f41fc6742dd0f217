"""Start of a JSON file: the form of its documents, and the rows that they hold."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ijson

from viral.errors import SourceError
from viral.sources.expressions import ANY_KEY, Path, WrongShapeError, describe
from viral.sources.opened import OpenFile, open_utf8, plain_name
from viral.sources.source_map import is_itself

_LINE_SUFFIXES = (".jsonl", ".ndjson", ".jl")
_HEAD_BYTES = 1 << 20  # enough for 20 posts of 20 kB, from which a file is recognised
_MAX_DEPTH = 3  # keys above the array of rows


@dataclass(frozen=True)
class JsonHead:
    """Start of a JSON file: whether documents are lines or items of an array, the first documents, and their arrays.

    A document that goes on beyond the head is cut.
    """

    lines: bool
    array: bool
    documents: tuple[Any, ...]

    def is_one_row(self, paths: Sequence[Path]) -> bool:
        """Whether the file holds a single object, which is a row."""
        [document, *more] = self.documents or (None,)
        return not (self.lines or self.array or more) and all(row is document for row, _ in rows_of(document, paths))

    def arrays(self) -> list[str]:
        """Paths of the arrays of objects in the first document, the shallow ones first."""
        found = list(_arrays(self.documents[0], "", 0)) if self.documents else []
        return sorted(found, key=lambda path: path.count("."))

    def rows(self, paths: Sequence[Path]) -> list[tuple[Any, Any]]:
        """Rows of the first documents, each with its document: those at the first path that a document has."""
        return [pair for document in self.documents for pair in rows_of(document, paths)]


def read_head(open_file: OpenFile, file: str, encoding: str | None) -> JsonHead:
    """Read the start of a JSON file. Raises SourceError if it is not JSON, or a single value."""
    with open_utf8(open_file, file, encoding) as stream:
        head = stream.read(_HEAD_BYTES)
    whole = len(head) < _HEAD_BYTES
    lines = [line for line in head.splitlines() if line.strip()]
    if plain_name(file).endswith(_LINE_SUFFIXES):
        return JsonHead(True, False, tuple(_parse_lines(lines if whole else lines[:-1])))
    # Two lines, the first of which is a whole object: documents by line, whatever the name of the file says.
    if len(lines) > 1 and lines[0].lstrip()[:1] == b"{" and list(_parse_lines(lines[:1])):
        return JsonHead(True, False, tuple(_parse_lines(lines if whole else lines[:-1])))
    documents = _parse_whole(head) if whole else None
    documents = _parse_part(head, file) if documents is None else documents
    first = documents[0] if documents else None
    if isinstance(first, list):
        # The last item is cut where the head ends; a single item is all there is.
        return JsonHead(False, True, tuple(first if whole else first[:-1] or first))
    if not isinstance(first, dict):
        raise SourceError(f"{file} holds no posts: expected objects of JSON, but it holds {describe(first)}")
    return JsonHead(False, False, tuple(documents))


def rows_of(document: Any, paths: Sequence[Path]) -> Iterator[tuple[Any, Any]]:
    """Yield the rows of a document, each with the document: those at the first path that it has."""
    keys = document if isinstance(document, dict) else ()
    for path in paths:
        if is_itself(path):
            break
        # A look at the first key spares walking the path in documents that lack it.
        if path.steps[0] in keys or not isinstance(path.steps[0], str) or path.steps[0] == ANY_KEY:
            rows = rows_at(document, path)
            if rows is not None:
                return ((row, document) for row in rows)
    return iter([(document, document)])


def rows_at(document: Any, path: Path) -> list[Any] | None:
    """Rows of a document at a path; None if the document has no such path."""
    if is_itself(path):
        return [document]
    try:
        first = next(Path(keys_before(path)).values(document), None) if keys_before(path) else document
        if first is None:
            return None
        return list(path.values(document))
    except WrongShapeError:
        return None


def keys_before(path: Path) -> str:
    """Keys of a path before its first array or any key, joined by dots."""
    keys = []
    for step in path.steps:
        if step is None or step == ANY_KEY:
            break
        keys.append(str(step))
    return ".".join(keys)


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
            # The first document is complete; what follows is not needed.
            if not depth:
                break
    except ijson.JSONError as error:
        # Not even a first value: the text is no JSON. Later errors only mean that the head cuts the document.
        if events < 2:
            raise SourceError(f"{file} is not JSON: {error_text(error)}") from None
    return [builder.value] if events else []


def _arrays(value: Any, path: str, depth: int) -> Iterator[str]:
    """Paths of the arrays of objects within a value; `*` where several keys hold arrays of the same objects."""
    if not isinstance(value, dict) or depth > _MAX_DEPTH:
        return
    # Several arrays of like objects under different keys, one per author for example, are one list of rows.
    arrays = {key: inner[0].keys() for key, inner in value.items() if _holds_objects(inner)}
    # Like objects: more than half of all their keys are common to all.
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


def error_text(error: Exception) -> str:
    """First line of the message of a JSON parser."""
    reason: Any = error.args[0] if error.args else error
    text = (reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)).strip()
    return text.splitlines()[0] if text else "it ends too early"
