"""C2PA data of a video: what its maker signed about its origin, kept as it is in the file."""

from __future__ import annotations

import json
import mmap
from pathlib import Path

from viral.storage.store import one_line

_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""Type of the box that holds a C2PA manifest store in an MP4 file (C2PA specification 2.1, A.5)."""
_MAX_BOX = 16 << 20  # bytes; manifests with a thumbnail have some 100 KB
_HEADER, _LONG_HEADER = 8, 16  # bytes of a box's header, with a size of 4 or of 8 bytes


def c2pa_box(path: Path) -> bytes | None:
    """Return the C2PA box of an MP4 file as it is, without its header; None if the file has none."""
    with path.open("rb") as file:
        if path.stat().st_size < _HEADER:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _find_box(data)


def _find_box(data: mmap.mmap) -> bytes | None:
    start = 0
    # Top-level boxes only: each says its size, so the video itself is skipped.
    while start + _HEADER <= len(data):
        size, header = int.from_bytes(data[start : start + 4], "big"), _HEADER
        if size == 1:
            size, header = int.from_bytes(data[start + 8 : start + 16], "big"), _LONG_HEADER
        size = size or len(data) - start  # 0: to the end of the file
        if size < header or start + size > len(data):
            return None  # not MP4, or cut
        if data[start + 4 : start + 8] == b"uuid" and data[start + header : start + header + 16] == _UUID:
            return data[start + header + 16 : start + size] if size <= _MAX_BOX else None
        start += size
    return None


def read_c2pa(path: Path) -> str | None:
    """Read a file's C2PA manifest as JSON with the result of its validation; None if the library cannot.

    The raw box is evidence whether or not it can be read.
    """
    try:
        from c2pa import Reader
    except ImportError:
        return None
    try:
        with Reader(str(path)) as reader:
            return str(reader.json())
    except Exception as error:  # noqa: BLE001 - the library parses untrusted data, and may raise anything
        return json.dumps({"error": f"{type(error).__name__}: {one_line(error)}"})
