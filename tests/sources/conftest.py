"""Reading a whole file or a few bytes in one go."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from viral.sources import Parsed, read

Read = Callable[..., Parsed]


@pytest.fixture
def read_file() -> Read:
    """Reads a file on disk with all batches joined."""

    def reader(source: str, file: Path, **options: Any) -> Parsed:
        return joined(list(read(source, str(file), lambda path: Path(path).open("rb"), **options)))

    return reader


@pytest.fixture
def read_bytes() -> Read:
    """Reads bytes as if they were a file, with all batches joined."""

    def reader(source: str, content: bytes | str, *, file: str = "folder/file", **options: Any) -> Parsed:
        data = content.encode() if isinstance(content, str) else content
        return joined(list(read(source, file, lambda _: io.BytesIO(data), **options)))

    return reader


def joined(batches: list[Parsed]) -> Parsed:
    return Parsed(
        pa.concat_tables([batch.posts for batch in batches]),
        pa.concat_tables([batch.rejects for batch in batches]),
        sum(batch.rows for batch in batches),
    )
