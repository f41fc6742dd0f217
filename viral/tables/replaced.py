"""Tables that a job makes anew as a whole: a new generation is written beside the old one, then takes its place."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from viral.errors import TableError
from viral.storage.store import Store, read_json
from viral.tables.bucketed import Part, Parts

_POINTER = "_current.json"
_MARK = "_generation"  # lies in every generation, says when it was begun, and is the first of it to be deleted
ABANDONED_AFTER = timedelta(days=7)  # no job writes one table for so long: its writer was killed


class Generation(Parts):
    """One generation of a table. Whoever reads one that was replaced is told so, instead of finding it empty."""

    def parts(self, bits: int = 0, bucket: int = 0) -> list[Part]:
        """The parts that may hold rows of a bucket, by name, or all.

        Raises:
            TableError: another generation has taken its place.
        """
        found = super().parts(bits, bucket)
        self.check()
        return found

    def check(self) -> None:
        """Make sure that it has not been replaced. Raises TableError."""
        if not self.store.exists(f"{self.prefix}/{_MARK}"):
            raise TableError(f"the table {self.prefix.rpartition('/')[0]} was replaced meanwhile: run this again")


def current(store: Store, prefix: str, schema: pa.Schema) -> tuple[Parts, dict[str, Any]]:
    """The table at `prefix` as its newest whole generation, and what its writer said of it.

    Raises:
        TableError: there is none.
    """
    pointer = read_json(store, f"{prefix}/{_POINTER}")
    if pointer is None:
        raise TableError(f"there is no table {prefix} in {store.root}{_instead(store, prefix)}")
    return Generation(store, f"{prefix}/{pointer['generation']}", schema, key="post_id"), pointer["about"]


def begin(store: Store, prefix: str, schema: pa.Schema, generation: str) -> Parts:
    """An empty table to write to, unseen until `commit`."""
    store.write(f"{prefix}/{generation}/{_MARK}", datetime.now(UTC).isoformat().encode())
    return Generation(store, f"{prefix}/{generation}", schema, key="post_id")


def commit(store: Store, prefix: str, generation: str, about: dict[str, Any]) -> None:
    """Make that generation the table, and delete the one before it; of two writers at once the later commit stays.

    Raises:
        TableError: it was begun so long ago that it has been deleted.
    """
    Generation(store, f"{prefix}/{generation}", pa.schema([]), key="post_id").check()
    before = read_json(store, f"{prefix}/{_POINTER}") or {}
    pointer = {"generation": generation, "about": about}
    store.write(f"{prefix}/{_POINTER}", json.dumps(pointer, indent=1, sort_keys=True).encode())
    for other in _others(store, prefix, generation):
        # Not all others: one that is being written beside this one, and may be committed next, must stay whole.
        if other == before.get("generation") or _is_abandoned(store, f"{prefix}/{other}/{_MARK}"):
            store.delete([f"{prefix}/{other}/{_MARK}"])  # before its parts, so that readers notice
            store.delete_below(f"{prefix}/{other}")


def names(store: Store, prefix: str) -> list[str]:
    """The tables below `prefix`, by name."""
    return sorted(
        {
            info.key.removeprefix(f"{prefix}/").removesuffix(f"/{_POINTER}")
            for info in store.objects(prefix)
            if info.key.endswith(f"/{_POINTER}")
        }
    )


def _others(store: Store, prefix: str, generation: str) -> list[str]:
    keys = (info.key.removeprefix(f"{prefix}/") for info in store.objects(prefix))
    return sorted({key.partition("/")[0] for key in keys if "/" in key} - {generation})


def _is_abandoned(store: Store, mark: str) -> bool:
    try:
        begun = datetime.fromisoformat(store.read(mark).decode())
    except FileNotFoundError:  # half deleted by one that was killed
        return True
    return datetime.now(UTC) - begun > ABANDONED_AFTER


def _instead(store: Store, prefix: str) -> str:
    folder = prefix.rpartition("/")[0]
    if not folder:  # all of the root
        return ""
    there = names(store, folder)
    return f": there are {', '.join(there)}" if there else f", nor any other in {folder}/: make one first"
