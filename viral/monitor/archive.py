"""Evidence bundles as ZIP files: export, and verification without the root."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from viral.errors import ConfigError, UsageError
from viral.monitor.evidence import FORMAT, MANIFEST, STAMP, read_bundle
from viral.monitor.timestamping import verify_stamp
from viral.storage.local import atomic_write
from viral.storage.store import Store, one_line
from viral.tables.sightings import sightings_table

_MAX_BYTES = 1 << 30  # of all files of an archive, unpacked: a bundle has some 20 frames of a few MB
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that ZIP can store; one for all, so that exports are equal


@dataclass
class VerifySummary:
    """A bundle whose files are as its manifest says.

    `stamped_at` is the time of the RFC 3161 time stamp, null without one; `trusted` says what its signature was checked
    against. `recorded` is whether the sightings of the root name the same manifest, null if no root was given.
    """

    sighting_id: str
    target: str
    manifest_sha256: str
    files: int
    stamped_at: str | None
    trusted: str
    recorded: bool | None


def export_bundle(store: Store, sighting_id: str, file: Path) -> int:
    """Write a bundle as a ZIP file and return the number of its files.

    Raises:
        UsageError: there is no such bundle. ConfigError: the file cannot be written.
    """
    files = read_bundle(store, sighting_id)
    try:
        with atomic_write(file) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in sorted(files.items()):
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {one_line(error)}") from error
    return len(files)


def verify_archive(file: Path, certificate: Path | None = None, store: Store | None = None) -> VerifySummary:
    """Check every file of an exported bundle against its manifest, and the manifest against stamp and root.

    Raises:
        UsageError: a file is missing, was added or was changed; the message names it.
    """
    files = _read(file)
    if MANIFEST not in files:
        raise UsageError(f"{file} is no evidence bundle: it has no {MANIFEST}")
    content = files.pop(MANIFEST)
    stamp = files.pop(STAMP, None)
    manifest = _parse(content, file)
    _check_files(files, manifest["files"], file)
    stamped_at = verify_stamp(stamp, content, certificate) if stamp is not None else None
    if certificate is not None and stamp is None:
        raise UsageError(f"{file} has no time stamp that {certificate} could have signed: it was removed or never made")
    digest = hashlib.sha256(content).hexdigest()
    recorded = None if store is None else _check_recorded(store, manifest["sighting_id"], digest)
    trusted = "no time stamp" if stamp is None else str(certificate or "not checked: give --certificate")
    return VerifySummary(
        manifest["sighting_id"], str(manifest.get("target")), digest, len(files), stamped_at, trusted, recorded
    )


def _read(file: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            # Sizes first: an archive may unpack to far more than it has.
            if sum(info.file_size for info in infos) > _MAX_BYTES:
                raise UsageError(f"{file} unpacks to more than {_MAX_BYTES} bytes: it is no evidence bundle")
            if len({info.filename for info in infos}) < len(infos):
                raise UsageError(f"{file} was changed: it holds a file twice")
            return {info.filename: archive.read(info) for info in infos}
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UsageError(f"{file} cannot be read, it is damaged or no ZIP file: {one_line(error)}") from error


def _parse(content: bytes, file: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(content)
    except ValueError as error:
        raise UsageError(f"{file} was changed: its manifest is no JSON") from error
    fields = ("format", "sighting_id", "files")
    if not isinstance(manifest, dict) or any(name not in manifest for name in fields):
        raise UsageError(f"{file} was changed: its manifest lacks {', '.join(fields)}")
    if manifest["format"] != FORMAT:
        raise UsageError(f"{file} has format {manifest['format']}: verify it with a newer version of viral")
    return manifest


def _check_files(files: Mapping[str, bytes], listed: Mapping[str, Mapping[str, Any]], file: Path) -> None:
    if missing := sorted(set(listed) - set(files)):
        raise UsageError(f"{file} was changed: {missing[0]} is missing")
    if added := sorted(set(files) - set(listed)):
        raise UsageError(f"{file} was changed: {added[0]} is not in its manifest")
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != listed[name]["sha256"]:
            raise UsageError(f"{file} was changed: {name} differs from its manifest")


def _check_recorded(store: Store, sighting_id: str, digest: str) -> bool:
    """Whether the root has the sighting. Raises UsageError if it recorded another manifest."""
    rows = sightings_table(store).read(columns=["sighting_id", "evidence_sha256"]).to_pylist()
    recorded = {row["sighting_id"]: row["evidence_sha256"] for row in rows}.get(sighting_id)
    if recorded is not None and recorded != digest:
        raise UsageError(
            f"the manifest of {sighting_id} differs from the one that {store.root} recorded: it was changed"
        )
    return recorded is not None
