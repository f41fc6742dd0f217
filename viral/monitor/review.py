"""What a person says about a sighting; the next training of the target learns from it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from viral.errors import UsageError
from viral.storage.store import Store
from viral.tables.sightings import SIGHTINGS, sightings_table


def find_sighting(store: Store, sighting_id: str) -> dict[str, Any]:
    """Read a sighting.

    Raises:
        UsageError: there is none with this id.
    """
    for row in sightings_table(store).read().to_pylist():
        if row["sighting_id"] == sighting_id:
            return dict(row)
    raise UsageError(f"there is no sighting {sighting_id!r} in {store.root}: `viral monitor sightings` lists the ids")


def update_sighting(store: Store, row: dict[str, Any], **changes: Any) -> None:
    """Store a sighting with other values, as its newest version."""
    table = sightings_table(store)
    new = {**row, **changes, "updated_at": datetime.now(UTC)}
    table.append(pa.Table.from_pylist([new], schema=SIGHTINGS), table.log2_buckets())
