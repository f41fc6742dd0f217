"""Manifest of fetched or put weights: the SHA-256 of each file, the licence and the source."""

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
from viral.weights.catalogue import PretrainedWeights

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ManifestEntry:
    """SHA-256 and size in bytes of one file."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """Record of fetched or put weights, written once, after all files. Every read compares the files with it.

    Attributes:
        name: name of the weights.
        files: file name, relative to the folder → entry.
        licence: name of the licence.
        source: address, commit of a repository, or local path that the files came from.
        created_at: ISO 8601 time; `at` in the JSON file.
    """

    name: str
    files: Mapping[str, ManifestEntry]
    licence: str
    source: str
    created_at: str

    @classmethod
    def from_published(cls, weights: PretrainedWeights, paths: Mapping[str, Path], source: str) -> Manifest:
        """Build the manifest of files (name → path) after comparing them with the published hashes.

        Raises:
            WeightsError: a file is missing, or differs from the published one.
        """
        for file, digest in weights.published.items():
            if file not in paths or not paths[file].is_file():
                raise WeightsError(f"{source} lacks {file}, which {weights.name} needs: add it")
            # Some publishers give only the first digits of a hash.
            if not file_digest(paths[file]).startswith(digest):
                raise WeightsError(
                    f"{file} differs from the published {weights.name}: its SHA-256 begins with "
                    f"{file_digest(paths[file])[:12]}, not with {digest[:12]}; get it again from {weights.source}"
                )
        return cls.from_files(weights.name, paths, source=source, licence=weights.licence.name)

    @classmethod
    def from_files(cls, name: str, paths: Mapping[str, Path], *, source: str, licence: str = "") -> Manifest:
        """Build the manifest of files (name → path) from their current content."""
        files = {file: ManifestEntry(file_digest(path), path.stat().st_size) for file, path in paths.items()}
        return cls(name, files, licence, source, datetime.now(UTC).isoformat(timespec="seconds"))

    @classmethod
    def from_json(cls, data: bytes, uri: str) -> Manifest:
        """Parse the content of the manifest file at `uri`. Raises WeightsError if it is invalid."""
        try:
            fields: dict[str, Any] = json.loads(data)
            files = {file: ManifestEntry(**entry) for file, entry in fields.pop("files").items()}
            return cls(files=files, created_at=fields.pop("at"), **fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise WeightsError(
                f"{uri} is not a manifest of weights: delete its folder, and fetch or put again"
            ) from error

    def to_json(self) -> bytes:
        """Content of the manifest file."""
        fields = asdict(self)
        # `at` is the name in stored manifests.
        fields["at"] = fields.pop("created_at")
        return json.dumps(fields, indent=1).encode()  # readable, and one line per entry

    @property
    def digest(self) -> str:
        """One SHA-256 over all files."""
        return combined_digest({file: entry.sha256 for file, entry in self.files.items()})

    def mismatch(self, folder: Path) -> str | None:
        """Describe the first file of `folder` that is missing or has changed; None if all match."""
        for file, entry in self.files.items():
            if not (folder / file).is_file():
                return f"{folder / file} is missing"
            if file_digest(folder / file) != entry.sha256:
                return f"{folder / file} has changed since it was fetched"
        return None


def combined_digest(hashes: Mapping[str, str]) -> str:
    """One SHA-256 over the names and hashes of several files; for a single file, its hash."""
    # So that the digest of a single file can be compared with published hashes.
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    # In the format of `sha256sum`, sorted by name.
    return hashlib.sha256("".join(f"{hashes[file]}  {file}\n" for file in sorted(hashes)).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, cached until the file's size or modification time changes."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)  # a feature set has at most a dozen weights files
def _digest(path: Path, _size: int, _modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
