"""Tables that a job makes anew as a whole: a new generation is written beside the old one, then takes its place."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from viral.errors import TableError
from viral.parts import Parts
from viral.store import Store, read_json

_POINTER = "_current.json"


def current(store: Store, prefix: str, schema: pa.Schema) -> tuple[Parts, dict[str, Any]]:
    """The table at `prefix` as its newest whole generation, and what its writer said of it.

    Raises:
        TableError: there is none.
    """
    pointer = read_json(store, f"{prefix}/{_POINTER}")
    if pointer is None:
        raise TableError(f"there is no table {prefix} in {store.root}{_instead(store, prefix)}")
    return Parts(store, f"{prefix}/{pointer['generation']}", schema, key="post_id"), pointer["about"]


def begin(store: Store, prefix: str, schema: pa.Schema, generation: str) -> Parts:
    """An empty table to write to, unseen until `commit`."""
    return Parts(store, f"{prefix}/{generation}", schema, key="post_id")


def commit(store: Store, prefix: str, generation: str, about: dict[str, Any]) -> None:
    """Make that generation the table, and delete the others."""
    pointer = {"generation": generation, "about": about}
    store.write(f"{prefix}/{_POINTER}", json.dumps(pointer, indent=1, sort_keys=True).encode())
    keep = (f"{prefix}/{generation}/", f"{prefix}/{_POINTER}")
    store.delete([info.key for info in store.objects(prefix) if not info.key.startswith(keep)])


def names(store: Store, prefix: str) -> list[str]:
    """The tables below `prefix`, by name."""
    return sorted(
        {
            info.key.removeprefix(f"{prefix}/").removesuffix(f"/{_POINTER}")
            for info in store.objects(prefix)
            if info.key.endswith(f"/{_POINTER}")
        }
    )


def _instead(store: Store, prefix: str) -> str:
    folder = prefix.rpartition("/")[0]
    there = names(store, folder)
    return f": there are {', '.join(there)}" if there else f", nor any other in {folder}/: make one first"
