"""Tables that a job rewrites as a whole: a new version is written beside the current one, then replaces it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from viral.errors import TableError
from viral.storage.store import Store, read_json
from viral.tables.bucketed import BucketedTable, DataFile

_POINTER = "_current.json"  # names the current version of a table
_MARK = "_generation"  # an object in every version: when it was begun; deleted before the version's data files
ABANDONED_AFTER = timedelta(days=7)  # no job writes one table for so long: its writer was killed


class TableVersion(BucketedTable):
    """One version of a table. Reading a version that was replaced raises TableError, instead of returning no rows."""

    def files(self, log2_buckets: int = 0, bucket: int = 0) -> list[DataFile]:
        """List the data files that can hold rows of a bucket, by name; without arguments, all.

        Raises:
            TableError: this version was replaced by another one.
        """
        files = super().files(log2_buckets, bucket)
        self.check()
        return files

    def check(self) -> None:
        """Raise TableError if this version was replaced."""
        if not self.store.exists(f"{self.prefix}/{_MARK}"):
            raise TableError(f"the table {self.prefix.rpartition('/')[0]} was replaced meanwhile: run this again")


def open_current(store: Store, prefix: str, schema: pa.Schema) -> tuple[BucketedTable, dict[str, Any]]:
    """Open the current version of the table at `prefix`; the second value is the metadata given to `commit`.

    Raises:
        TableError: there is no such table.
    """
    pointer = read_json(store, f"{prefix}/{_POINTER}")
    if pointer is None:
        raise TableError(f"there is no table {prefix} in {store.root}{_alternatives(store, prefix)}")
    return TableVersion(store, f"{prefix}/{pointer['generation']}", schema, key="post_id"), pointer["about"]


def begin(store: Store, prefix: str, schema: pa.Schema, version: str) -> BucketedTable:
    """Create an empty version to write to; readers see it after `commit`."""
    store.write(f"{prefix}/{version}/{_MARK}", datetime.now(UTC).isoformat().encode())
    return TableVersion(store, f"{prefix}/{version}", schema, key="post_id")


def commit(store: Store, prefix: str, version: str, about: dict[str, Any]) -> None:
    """Make `version` the current one and delete its predecessor; of two concurrent writers the last commit wins.

    Raises:
        TableError: the version was begun so long ago that it has been deleted.
    """
    TableVersion(store, f"{prefix}/{version}", pa.schema([]), key="post_id").check()
    before = read_json(store, f"{prefix}/{_POINTER}") or {}
    pointer = {"generation": version, "about": about}
    store.write(f"{prefix}/{_POINTER}", json.dumps(pointer, indent=1, sort_keys=True).encode())
    for other in _other_versions(store, prefix, version):
        # Not all of them: a version that another job is writing now, and may commit next, must stay.
        if other == before.get("generation") or _is_abandoned(store, f"{prefix}/{other}/{_MARK}"):
            store.delete([f"{prefix}/{other}/{_MARK}"])  # before its data files, so that readers notice
            store.delete_below(f"{prefix}/{other}")


def table_names(store: Store, prefix: str) -> list[str]:
    """List the names of the tables below `prefix`."""
    keys = (info.key.removeprefix(f"{prefix}/") for info in store.objects(prefix))
    return sorted({key.removesuffix(f"/{_POINTER}") for key in keys if key.endswith(f"/{_POINTER}")})


def _other_versions(store: Store, prefix: str, version: str) -> list[str]:
    keys = (info.key.removeprefix(f"{prefix}/") for info in store.objects(prefix))
    return sorted({key.partition("/")[0] for key in keys if "/" in key} - {version})


def _is_abandoned(store: Store, mark: str) -> bool:
    try:
        begun = datetime.fromisoformat(store.read(mark).decode())
    except FileNotFoundError:  # deletion was interrupted
        return True
    return datetime.now(UTC) - begun > ABANDONED_AFTER


def _alternatives(store: Store, prefix: str) -> str:
    """End of the message about a missing table: what tables there are instead."""
    folder = prefix.rpartition("/")[0]
    if not folder:  # a table of the root itself
        return ""
    names = table_names(store, folder)
    return f": there are {', '.join(names)}" if names else f", nor any other in {folder}/: make one first"
