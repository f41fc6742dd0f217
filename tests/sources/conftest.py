"""Fixtures that read a whole file, or bytes, as one batch."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from viral.sources import ParsedBatch, read

Read = Callable[..., ParsedBatch]


@pytest.fixture
def read_file() -> Read:
    """Read a file on disk, with all batches joined."""

    def reader(source: str, file: Path, **options: Any) -> ParsedBatch:
        return joined(list(read(source, str(file), lambda path: Path(path).open("rb"), **options)))

    return reader


@pytest.fixture
def read_bytes() -> Read:
    """Read bytes as a file, with all batches joined."""

    def reader(source: str, content: bytes | str, *, file: str = "folder/file", **options: Any) -> ParsedBatch:
        data = content.encode() if isinstance(content, str) else content
        return joined(list(read(source, file, lambda _: io.BytesIO(data), **options)))

    return reader


def joined(batches: list[ParsedBatch]) -> ParsedBatch:
    return ParsedBatch(
        pa.concat_tables([batch.posts for batch in batches]),
        pa.concat_tables([batch.rejects for batch in batches]),
        sum(batch.rows for batch in batches),
    )
