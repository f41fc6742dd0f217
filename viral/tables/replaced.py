"""Tables that a job rewrites as a whole: it writes a new version, which then replaces the current one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from viral.errors import TableError
from viral.storage.store import Store, read_json
from viral.tables.bucketed import BucketedTable
from viral.tables.data_file import DataFile

_POINTER = "_current.json"  # names the current version of a table
_MARK = "_generation"  # object in every version with the time of `begin`; deleted before the data files
_REPLACED = "_replaced"  # object in a replaced version with the time when it was replaced
_MAKERS = {"labels": "viral label", "predictions": "viral score --all"}  # commands by the folder of their tables
KEPT_FOR = timedelta(days=7)  # no job writes or reads a version for as long


class TableVersion(BucketedTable):
    """One version of a table, which its readers keep when another replaces it; it is deleted `KEPT_FOR` later.

    After that, reading raises TableError instead of returning no rows.
    """

    def files(self, log2_buckets: int = 0, bucket: int = 0) -> list[DataFile]:
        """List the data files that can hold rows of a bucket, by name; without arguments, all.

        Raises:
            TableError: this version was deleted.
        """
        # List first, then check: the mark is deleted before the files, so that a listing with holes does not pass.
        files = super().files(log2_buckets, bucket)
        self.check()
        return files

    def check(self) -> None:
        """Raise TableError if this version was deleted."""
        if not self.store.exists(f"{self.prefix}/{_MARK}"):
            raise TableError(
                f"the table {self.prefix.rpartition('/')[0]} was replaced more than {KEPT_FOR.days} days ago: "
                "run the command again"
            )


def open_current(
    store: Store, prefix: str, schema: pa.Schema, *, key: str = "post_id"
) -> tuple[BucketedTable, dict[str, Any]]:
    """Open the current version of the table at `prefix`; the second value is the metadata given to `commit`.

    Raises:
        TableError: there is no such table.
    """
    pointer = read_json(store, f"{prefix}/{_POINTER}")
    if pointer is None:
        raise TableError(f"there is no table {prefix} in {store.root}{_alternatives(store, prefix)}")
    return TableVersion(store, f"{prefix}/{pointer['generation']}", schema, key=key), pointer["about"]


def begin(store: Store, prefix: str, schema: pa.Schema, version: str, *, key: str = "post_id") -> BucketedTable:
    """Create an empty version to write to; readers see it after `commit`."""
    store.write(f"{prefix}/{version}/{_MARK}", datetime.now(UTC).isoformat().encode())
    return TableVersion(store, f"{prefix}/{version}", schema, key=key)


def commit(store: Store, prefix: str, version: str, about: dict[str, Any]) -> None:
    """Make `version` the current one; of two concurrent writers the last commit wins.

    Its predecessor stays for those who read it. Versions that were replaced, or abandoned, `KEPT_FOR` ago are deleted.

    Raises:
        TableError: the version was deleted, because it was begun more than `KEPT_FOR` ago.
    """
    # Not a pointer to files that another run may have deleted as abandoned.
    TableVersion(store, f"{prefix}/{version}", pa.schema([]), key="post_id").check()
    previous = read_json(store, f"{prefix}/{_POINTER}") or {}
    pointer = {"generation": version, "about": about}
    store.write(f"{prefix}/{_POINTER}", json.dumps(pointer, indent=1, sort_keys=True).encode())
    # The time of the first replacement counts: `write_new` keeps it if two writers replace the same version.
    if previous.get("generation") not in {None, version}:
        store.write_new(f"{prefix}/{previous['generation']}/{_REPLACED}", datetime.now(UTC).isoformat().encode())
    keys = (info.key.removeprefix(f"{prefix}/") for info in store.objects(prefix))
    for other in sorted({key.partition("/")[0] for key in keys if "/" in key} - {version}):
        if _is_expired(store, f"{prefix}/{other}"):
            store.delete([f"{prefix}/{other}/{_MARK}"])  # before the data files, so that readers notice
            store.delete_below(f"{prefix}/{other}")


def table_names(store: Store, prefix: str) -> list[str]:
    """List the names of the tables below `prefix`."""
    keys = (info.key.removeprefix(f"{prefix}/") for info in store.objects(prefix))
    return sorted({key.removesuffix(f"/{_POINTER}") for key in keys if key.endswith(f"/{_POINTER}")})


def _is_expired(store: Store, version: str) -> bool:
    """Whether a version other than the current one was replaced `KEPT_FOR` ago, or begun then and never committed."""
    for mark in (_REPLACED, _MARK):
        try:
            time = datetime.fromisoformat(store.read(f"{version}/{mark}").decode())
        except FileNotFoundError:
            continue
        return datetime.now(UTC) - time > KEPT_FOR
    return True  # its deletion was interrupted


def _alternatives(store: Store, prefix: str) -> str:
    """List the existing tables, for the message about a missing one."""
    folder = prefix.rpartition("/")[0]
    if not folder:  # the table is directly below the root
        return ""
    names = table_names(store, folder)
    return (
        f": there are {', '.join(names)}"
        if names
        else f", nor any other in {folder}/: create one first ({_MAKERS.get(folder, 'see viral --help')})"
    )
