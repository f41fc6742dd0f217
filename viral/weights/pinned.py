"""Names of weights that say what is in them: an address, and the SHA-256 of what lies there."""

from __future__ import annotations

import re
from pathlib import Path

from viral.errors import WeightsError
from viral.weights.manifest import file_digest

_MARK = "#sha256="
_DIGEST = re.compile(r"[0-9a-f]{64}")


def pinned(uri: str, digest: str) -> str:
    """The name `uri#sha256=digest`: whoever reads it need not have the file to know what it is."""
    return f"{uri}{_MARK}{digest}"


def split_pinned(name: str) -> tuple[str, str | None]:
    """The address in a name, and the SHA-256 where the name has it.

    Raises:
        WeightsError: what stands for the hash is none.
    """
    uri, mark, digest = name.partition(_MARK)
    if mark and not _DIGEST.fullmatch(digest):
        raise WeightsError(f"{name} ends in no SHA-256: write {uri}{_MARK} and 64 hexadecimal digits")
    return uri, digest if mark else None


def as_pinned(path: Path, digest: str | None) -> Path:
    """The path, if it holds what its name says. Raises WeightsError."""
    if digest and file_digest(path) != digest:
        raise WeightsError(f"the weights at {path} are not those of SHA-256 {digest[:12]}…: bring back the file")
    return path
