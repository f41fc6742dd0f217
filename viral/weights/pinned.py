"""Pinned URIs of weights: an address with the SHA-256 of its content, `uri#sha256=digest`."""

from __future__ import annotations

import re
from pathlib import Path

from viral.errors import WeightsError
from viral.weights.manifest import file_digest

_MARK = "#sha256="
_DIGEST = re.compile(r"[0-9a-f]{64}")  # a whole SHA-256


def pin_uri(uri: str, digest: str) -> str:
    """Return `uri#sha256=digest`, which identifies the content without access to the file."""
    return f"{uri}{_MARK}{digest}"


def split_pinned(name: str) -> tuple[str, str | None]:
    """Split a name into its address and SHA-256, None if it has none.

    Raises:
        WeightsError: the hash is malformed.
    """
    uri, mark, digest = name.partition(_MARK)
    if mark and not _DIGEST.fullmatch(digest):
        raise WeightsError(f"{name} ends in no SHA-256: write {uri}{_MARK} and 64 hexadecimal digits")
    return uri, digest if mark else None


def check_pinned(path: Path, digest: str | None) -> Path:
    """Return the path if its content has the digest. Raises WeightsError."""
    if digest and file_digest(path) != digest:
        raise WeightsError(f"the weights at {path} are not those of SHA-256 {digest[:12]}…: bring back the file")
    return path
