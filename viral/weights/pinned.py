"""Pinned URIs of weights, `uri#sha256=digest`: an address with the SHA-256 of the content."""

from __future__ import annotations

import re
from pathlib import Path

from viral.errors import WeightsError
from viral.weights.manifest import file_digest

_MARK = "#sha256="
_DIGEST = re.compile(r"[0-9a-f]{64}")  # a full SHA-256


def pin_uri(uri: str, digest: str) -> str:
    """Return `uri#sha256=digest`, which identifies the content without reading the file."""
    return f"{uri}{_MARK}{digest}"


def split_pinned(name: str) -> tuple[str, str | None]:
    """Split a URI into the address and the SHA-256, or None if the URI is not pinned.

    Raises:
        WeightsError: the hash is malformed.
    """
    uri, mark, digest = name.partition(_MARK)
    if mark and not _DIGEST.fullmatch(digest):
        raise WeightsError(f"{name} does not end in a SHA-256: write {uri}{_MARK} and 64 hexadecimal digits")
    return uri, digest if mark else None


def check_pinned(path: Path, digest: str | None) -> Path:
    """Return the path if the file has the digest, else raise WeightsError."""
    if digest and file_digest(path) != digest:
        raise WeightsError(f"the weights at {path} do not have the SHA-256 {digest[:12]}…: restore the file")
    return path
