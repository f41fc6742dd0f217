"""Snapshots of a search index: sets of immutable files, of which a numbered object names those of each.

A snapshot becomes the current one when its number is written, which succeeds for one of two writers. An index is
therefore never half-written: who is killed leaves files that no snapshot names, and the next commit deletes them.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from viral.storage.store import Store, read_json

FORMAT = 1  # raise it when older indexes cannot be read, or mean something else: they are then built anew
_POINTER = "snapshot-"
_ATTEMPTS, _PAUSE_SECONDS = 5, 0.2  # while another process replaces the snapshot that is being read


@dataclass(frozen=True)
class Snapshot:
    """One state of an index.

    Attributes:
        number: counted from 1; 0 for an index that does not exist.
        files: key below the root of each file, by its name.
        sizes: bytes of each file, by its name.
        about: what the index covers, as JSON.
    """

    number: int = 0
    files: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


class Snapshots:
    """The snapshots of the index at `prefix`."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.store, self.prefix = store, prefix

    def current(self) -> Snapshot:
        """Read the newest snapshot. Without one, and if its files are damaged, it is empty: the index is built anew."""
        found = Snapshot()
        for attempt in range(_ATTEMPTS):
            sizes = self._sizes()
            number = max(map(_number, sizes), default=0)
            if not number:
                return Snapshot()
            found = self._read(number)
            if found.files and all(sizes.get(key) == found.sizes[name] for name, key in found.files.items()):
                return found
            time.sleep(_PAUSE_SECONDS * (attempt < _ATTEMPTS - 1))
        note = f"the index {self.store.uri(self.prefix)} is damaged, or of another version: building it anew"
        print(note, file=sys.stderr)  # noqa: T201 - for the user
        return Snapshot(found.number)

    def commit(
        self, before: Snapshot, kept: Mapping[str, str], added: Mapping[str, Path], about: Mapping[str, Any]
    ) -> Snapshot | None:
        """Make these files the current snapshot; None if another process has replaced `before` meanwhile.

        Args:
            before: the snapshot that it replaces.
            kept: keys of the files that it shares with `before`, by name.
            added: its other files, to upload, by name.
            about: what the index now covers.
        """
        # Only what is there now may be deleted below: later files may be those of another process.
        existing = list(self._sizes())
        keys = {name: f"{self.prefix}/{uuid.uuid4().hex}-{name}" for name in added}
        for name, file in added.items():
            self.store.upload(file, keys[name])
        files = {**kept, **keys}
        sizes = {name: added[name].stat().st_size if name in added else before.sizes[name] for name in files}
        snapshot = Snapshot(before.number + 1, files, sizes, about)
        if not self._write(snapshot):
            self.store.delete(list(keys.values()))
            return None
        self.store.delete([key for key in existing if key not in files.values()])
        return snapshot

    def _write(self, snapshot: Snapshot) -> bool:
        """Write the object of a snapshot; whether it is the current one then."""
        value = {"format": FORMAT, "files": snapshot.files, "sizes": snapshot.sizes, "about": snapshot.about}
        content = json.dumps(value, ensure_ascii=False).encode()
        written = self.store.write_new(self._key(snapshot.number), content)
        # The objects of old snapshots are deleted, so that a number can be written again by a process that slept long.
        return written and max(map(_number, self._sizes())) == snapshot.number

    def _read(self, number: int) -> Snapshot:
        value = read_json(self.store, self._key(number)) or {}
        if value.get("format") != FORMAT:
            return Snapshot(number)
        return Snapshot(number, value["files"], value["sizes"], value["about"])

    def _key(self, number: int) -> str:
        return f"{self.prefix}/{_POINTER}{number:010d}.json"

    def _sizes(self) -> dict[str, int]:
        return {info.key: info.size for info in self.store.objects(self.prefix)}


def _number(key: str) -> int:
    name = key.rpartition("/")[2]
    return int(name.removeprefix(_POINTER).removesuffix(".json")) if name.startswith(_POINTER) else 0
