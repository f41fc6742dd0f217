"""The tables of a root by the names that queries use."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from viral.errors import ConfigError, TableError
from viral.extractors.feature_set import FeatureSet
from viral.features.reuse import CARD
from viral.sounds.history import HISTORY_TABLE
from viral.storage.store import Store, read_json
from viral.tables import replaced
from viral.tables.bucketed import BucketedTable
from viral.tables.places import TREND_TABLES, drafts_table, fetches_table, posts_table, rejects_table
from viral.tables.schemas import LABELS, PREDICTIONS, SOUND_HISTORY, feature_schema
from viral.tables.sightings import sightings_table

_LABELS, _PREDICTIONS, _FEATURES = "labels", "predictions", "features"


@dataclass(frozen=True)
class CatalogTable:
    """A table as queries name it.

    Attributes:
        number: of the table in its catalog.
        name: its name in SQL; of tables whose names differ only in signs that SQL needs quotes for, the exact one.
        table: its rows; of several with one key, it reads the newest.
        rows: number of stored rows; until they are merged, several may have one key.
        bytes: size of its data files.
    """

    number: int
    name: str
    table: BucketedTable
    rows: int
    bytes: int

    @property
    def columns(self) -> dict[str, str]:
        """Type of each column by its name."""
        return {field.name: str(field.type) for field in self.table.schema}


def catalog(store: Store) -> dict[str, CatalogTable]:
    """List the tables of a root that have rows, by name."""
    tables = dict(sorted(_tables(store)))
    names = Counter(map(sql_name, tables))
    found: dict[str, CatalogTable] = {}
    for exact, table in tables.items():
        sizes = {info.key: info.size for info in store.objects(table.prefix)}
        files = table.files()
        if not files:
            continue
        name = sql_name(exact) if names[sql_name(exact)] == 1 else exact
        if name.lower() in {other.lower() for other in found}:  # names in SQL differ by more than case
            name = f"{name}_{len(found)}"
        size = sum(sizes.get(file.key, 0) for file in files)
        found[name] = CatalogTable(len(found), name, table, sum(file.rows for file in files), size)
    return found


def _tables(store: Store) -> Iterator[tuple[str, BucketedTable]]:
    yield "posts", posts_table(store)
    yield "rejects", rejects_table(store)
    yield "fetches", fetches_table(store)
    yield "sightings", sightings_table(store)
    yield "drafts", drafts_table(store)
    for prefix, schema in ((_LABELS, LABELS), (_PREDICTIONS, PREDICTIONS)):
        for name in replaced.table_names(store, prefix):
            yield f"{prefix}_{name}", replaced.open_current(store, f"{prefix}/{name}", schema)[0]
    with suppress(TableError):  # it was never computed
        yield HISTORY_TABLE, replaced.open_current(store, HISTORY_TABLE, SOUND_HISTORY)[0]
    for name, (schema, key) in TREND_TABLES.items():
        with suppress(TableError):
            yield name, replaced.open_current(store, name, schema, key=key)[0]
    yield from _feature_tables(store)


def _feature_tables(store: Store) -> Iterator[tuple[str, BucketedTable]]:
    """Tables of feature sets, named after the set; after its fingerprint, too, where two sets have one name."""
    cards = [info.key for info in store.objects(_FEATURES) if info.key.endswith(f"/{CARD}")]
    names = {key.removesuffix(f"/{CARD}"): key.split("/")[1] for key in cards}
    sets = Counter(name.rpartition("-")[0] for name in names.values())
    for prefix, name in names.items():
        card = read_json(store, f"{prefix}/{CARD}") or {}
        schema = feature_schema(card["fingerprints"], _noted(card["set"]))
        own = name.rpartition("-")[0]
        table = BucketedTable(store, prefix, schema, key="post_id", newest_by="attempt", history=True)
        yield f"{_FEATURES}_{own if sets[own] == 1 else name}", table


def _noted(values: dict[str, object]) -> tuple[str, ...]:
    """Names of the extractors with notes; none if the set has an extractor that this version does not know."""
    try:
        return tuple(FeatureSet.from_dict(values).noted_extractors)
    except ConfigError:
        return ()


def sql_name(name: str) -> str:
    """Replace what a name in SQL cannot have without quotes."""
    return re.sub(r"\W", "_", name, flags=re.ASCII).lower()
