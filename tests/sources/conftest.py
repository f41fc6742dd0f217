"""Fixtures that read a whole file, or bytes, as one batch."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from viral.sources import ParsedBatch, ReadSettings, build_map, read, shipped_maps
from viral.sources.opened import FORMATS, OpenFile

Read = Callable[..., ParsedBatch]


@pytest.fixture
def read_file() -> Read:
    """Read a file on disk, with all batches joined."""

    def reader(source: str | None, file: Path, **options: Any) -> ParsedBatch:
        return joined(list(read_as(source, str(file), lambda path: Path(path).open("rb"), **options)))

    return reader


@pytest.fixture
def read_bytes() -> Read:
    """Read bytes as a file, with all batches joined."""

    def reader(source: str | None, content: bytes | str, *, file: str = "folder/file", **options: Any) -> ParsedBatch:
        data = content.encode() if isinstance(content, str) else content
        return joined(list(read_as(source, file, lambda _: io.BytesIO(data), **options)))

    return reader


def read_as(
    source: str | None, file: str, open_file: OpenFile, columns: dict[str, Any] | None = None, **options: Any
) -> Iterator[ParsedBatch]:
    """Read with a shipped map, with the user's own, or with the one that is recognised if the source is a format."""
    settings = {name: options.pop(name) for name in list(options) if name in ReadSettings.__dataclass_fields__}
    options.setdefault("file_format", source if source in FORMATS else None)
    is_partial = options.pop("is_partial", False)
    own = build_map(source or "own", columns, by_user=True, is_partial=is_partial) if columns is not None else None
    source_map = own or shipped_maps().get(source or "")
    return read(file, open_file, source_map, settings=ReadSettings(**settings), **options)


def joined(batches: list[ParsedBatch]) -> ParsedBatch:
    return ParsedBatch(
        pa.concat_tables([batch.posts for batch in batches]),
        pa.concat_tables([batch.rejects for batch in batches]),
        sum(batch.rows for batch in batches),
        batches[0].source,
        reduce(add, (batch.findings for batch in batches)),
    )
