"""The tables of a root by the names that queries use."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from viral.errors import ConfigError
from viral.extractors.feature_set import FeatureSet
from viral.sounds.history import HISTORY_TABLE
from viral.storage.store import Store, read_json
from viral.tables import replaced
from viral.tables.bucketed import BucketedTable
from viral.tables.places import fetches_table, posts_table, rejects_table
from viral.tables.schemas import LABELS, PREDICTIONS, SOUND_HISTORY, feature_schema

_CARD = "_set.json"  # of each feature table, see `features.reuse`
_LABELS, _PREDICTIONS, _FEATURES = "labels", "predictions", "features"


@dataclass(frozen=True)
class CatalogTable:
    """A table as queries name it.

    Attributes:
        name: its name in SQL.
        table: its rows; of several with one key, it reads the newest.
        rows: number of stored rows; until they are merged, several may have one key.
        bytes: size of its data files.
    """

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
    sizes: Counter[str] = Counter()
    for info in store.objects(""):
        folder, _, file = info.key.rpartition("/")
        if file.endswith(".parquet"):
            sizes[folder] += info.size
    found = {}
    for name, table in sorted(_tables(store, sizes), key=lambda pair: pair[0]):
        if rows := table.stored_rows():
            found[name] = CatalogTable(name, table, rows, sizes[table.prefix])
    return found


def _tables(store: Store, folders: Counter[str]) -> Iterator[tuple[str, BucketedTable]]:
    yield "posts", posts_table(store)
    yield "rejects", rejects_table(store)
    yield "fetches", fetches_table(store)
    for prefix, schema in ((_LABELS, LABELS), (_PREDICTIONS, PREDICTIONS)):
        for name in replaced.table_names(store, prefix):
            yield sql_name(f"{prefix}_{name}"), replaced.open_current(store, f"{prefix}/{name}", schema)[0]
    if HISTORY_TABLE in replaced.table_names(store, HISTORY_TABLE):
        yield HISTORY_TABLE, replaced.open_current(store, HISTORY_TABLE, SOUND_HISTORY)[0]
    yield from _feature_tables(store, [folder for folder in folders if folder.startswith(f"{_FEATURES}/")])


def _feature_tables(store: Store, prefixes: list[str]) -> Iterator[tuple[str, BucketedTable]]:
    """Tables of feature sets, named after the set; after its fingerprint, too, where two sets have one name."""
    names = {prefix: prefix.partition("/")[2] for prefix in prefixes}
    short = Counter(name.rpartition("-")[0] for name in names.values())
    for prefix, name in names.items():
        card = read_json(store, f"{prefix}/{_CARD}")
        if card is None:
            continue
        own = name.rpartition("-")[0]
        schema = feature_schema(card["fingerprints"], _noted(card["set"]))
        table = BucketedTable(store, prefix, schema, key="post_id", newest_by="attempt", history=True)
        yield sql_name(f"{_FEATURES}_{own if short[own] == 1 else name}"), table


def _noted(values: dict[str, object]) -> tuple[str, ...]:
    """Names of the extractors with notes; none if the set has an extractor that this version does not know."""
    try:
        return tuple(FeatureSet.from_dict(values).noted_extractors)
    except ConfigError:
        return ()


def sql_name(name: str) -> str:
    """Replace what a name in SQL cannot have without quotes."""
    return re.sub(r"\W", "_", name, flags=re.ASCII).lower()
