"""What lies beside fetched or put weights: the SHA-256 of each file, their licence and where they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from viral.errors import WeightsError
from viral.weights.catalogue import Known

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Entry:
    """One file: its SHA-256 and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What weights were when they came: written once, last of all files, and checked whenever they are read.

    Attributes:
        name: of the weights.
        files: each file by its name below the folder.
        licence: its name.
        source: an address, a commit of a repository, or the path they were put from.
        at: when, as ISO 8601.
    """

    name: str
    files: Mapping[str, Entry]
    licence: str
    source: str
    at: str

    @classmethod
    def of(cls, known: Known, paths: Mapping[str, Path], source: str) -> Manifest:
        """The manifest of files that came for `known`, by their names.

        Raises:
            WeightsError: one is missing, or is not what was published.
        """
        for file, begins in known.published.items():
            if file not in paths or not paths[file].is_file():
                raise WeightsError(f"{source} lacks {file}, which {known.name} needs: add it")
            if not file_digest(paths[file]).startswith(begins):
                raise WeightsError(
                    f"what came for {known.name} is not what was published: the SHA-256 of {file} begins with "
                    f"{file_digest(paths[file])[:12]}, not with {begins[:12]}; get it again from {known.source}"
                )
        return cls.made(known.name, paths, source=source, licence=known.licence.name)

    @classmethod
    def made(cls, name: str, paths: Mapping[str, Path], *, source: str, licence: str = "") -> Manifest:
        """The manifest of files, by their names, as they are now."""
        files = {file: Entry(file_digest(path), path.stat().st_size) for file, path in paths.items()}
        return cls(name, files, licence, source, datetime.now(UTC).isoformat(timespec="seconds"))

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Manifest:
        """As it was written. Raises WeightsError."""
        try:
            given: dict[str, Any] = json.loads(data)
            return cls(**given | {"files": {file: Entry(**entry) for file, entry in given["files"].items()}})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise WeightsError(
                f"{where} is no manifest of weights: delete its folder, and fetch or put again"
            ) from error

    def to_json(self) -> bytes:
        """As it lies beside the files."""
        return json.dumps(asdict(self), indent=1).encode()

    @property
    def digest(self) -> str:
        """One SHA-256 over all files."""
        return digest_of({file: entry.sha256 for file, entry in self.files.items()})

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(entry.size for entry in self.files.values())

    def fault(self, folder: Path) -> str | None:
        """What is wrong with the files in `folder`: the first that is missing or has other bytes; None where none."""
        for file, entry in self.files.items():
            if not (folder / file).is_file():
                return f"{folder / file} is missing"
            if file_digest(folder / file) != entry.sha256:
                return f"{folder / file} has other bytes than it had when it came"
        return None


def digest_of(hashes: Mapping[str, str]) -> str:
    """One SHA-256 over those of several files; of a single file it is the file's own, whatever its name."""
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    return hashlib.sha256("".join(f"{hashes[file]}  {file}\n" for file in sorted(hashes)).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, remembered for as long as the file does not change."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, _size: int, _modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
