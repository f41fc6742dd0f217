"""Bringing an index up to date, and its files to this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from viral.errors import StorageError
from viral.search.snapshots import Snapshot, Snapshots
from viral.search.sources import Files, covered, list_files
from viral.storage.lock import exclusive
from viral.storage.store import Store
from viral.storage.temporary import remove_abandoned, temporary_folder
from viral.tables.bucketed import LISTING_ATTEMPTS, BucketedTable

TEMPORARY = "viral-search-"
"""Start of the names of temporary folders."""

Build = Callable[[Snapshots, Snapshot, Files], Snapshot | None]
"""Commits the successor of a snapshot, which covers these files; None if another process was faster."""


def refresh(snapshots: Snapshots, tables: Sequence[BucketedTable], build: Build) -> Snapshot:
    """Return the snapshot that covers the tables as they are now; build what is missing.

    A second process that finds the same waits for the first, and then has nothing left to do.
    """
    snapshot = snapshots.current()
    if _covers(snapshot, list_files(tables)):
        return snapshot
    with exclusive(snapshots.store, snapshots.prefix.replace("/", "-")):
        while True:
            snapshot, files = snapshots.current(), list_files(tables)
            if _covers(snapshot, files):
                return snapshot
            # Tables that change meanwhile do not matter: this is their state after the call.
            if built := build(snapshots, snapshot, files):
                return built


def _covers(snapshot: Snapshot, files: Files) -> bool:
    return snapshot.about.get("sources") == covered(files)


class LocalFiles:
    """The files of snapshots on this machine: links into a root that is a folder, or downloads of S3 objects.

    Downloads are shared by the snapshots that name them, until `keep_only` is called. Call `close` to remove all.
    """

    def __init__(self, store: Store) -> None:
        remove_abandoned(TEMPORARY)
        self.store = store
        self._temporary = temporary_folder(TEMPORARY)
        self.folder = self._temporary.__enter__()
        (self.folder / "objects").mkdir()

    def close(self) -> None:
        """Remove the files."""
        self._temporary.__exit__(None, None, None)

    def place(self, snapshot: Snapshot, folder: Path) -> None:
        """Link the files of a snapshot into a new folder, by name.

        Raises:
            FileNotFoundError: another process has replaced the snapshot and deleted a file.
        """
        folder.mkdir()
        for name, key in snapshot.files.items():
            (folder / name).symlink_to(self._local(key))

    def keep_only(self, snapshots: Iterable[Snapshot]) -> None:
        """Remove all downloads but those of these snapshots."""
        names = {Path(key).name for snapshot in snapshots for key in snapshot.files.values()}
        for path in (self.folder / "objects").iterdir():
            if path.name not in names:
                path.unlink()

    def _local(self, key: str) -> Path:
        if not self.store.on_s3:
            return Path(self.store.path(key)).resolve(strict=True)
        path = self.folder / "objects" / Path(key).name
        if not path.exists():
            self.store.download(key, path)
        return path


def opened(files: LocalFiles, newest: Callable[[], Snapshot], known: Snapshot | None) -> tuple[Snapshot, Path] | None:
    """Place the files of the newest snapshot in a folder; None if it is the `known` one."""
    for _ in range(LISTING_ATTEMPTS):
        snapshot = newest()
        if known is not None and snapshot.number == known.number:
            return None
        folder = Path(tempfile.mkdtemp(dir=files.folder)) / "index"
        try:
            files.place(snapshot, folder)
        except FileNotFoundError:  # another process has replaced it
            continue
        return snapshot, folder
    raise StorageError("the search index changes faster than it can be read: stop the other writers for a moment")
