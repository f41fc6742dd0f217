"""What an index was made from: the data files of tables, and in which buckets they have changed since."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from viral.features.reuse import CARD
from viral.storage.store import Store, read_json
from viral.tables.bucketed import BucketedTable
from viral.tables.data_file import DataFile

Files = Mapping[str, Sequence[DataFile]]
"""Data files of each table, by its prefix."""


@dataclass(frozen=True)
class FeatureCard:
    """Description of a feature table: its prefix, the set as `FeatureSet.to_dict` gives it, names of its extractors."""

    prefix: str
    feature_set: Mapping[str, Any]
    extractors: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the set, without the fingerprint."""
        return str(self.feature_set["name"])


def feature_cards(store: Store) -> list[FeatureCard]:
    """Read the cards of all feature tables, by prefix."""
    keys = sorted(info.key for info in store.objects("features") if info.key.endswith(f"/{CARD}"))
    cards = ((key.removesuffix(f"/{CARD}"), read_json(store, key)) for key in keys)
    return [FeatureCard(prefix, card["set"], tuple(card["fingerprints"])) for prefix, card in cards if card]


def list_files(tables: Collection[BucketedTable]) -> dict[str, list[DataFile]]:
    """List the data files of tables now."""
    return {table.prefix: table.files() for table in tables}


def covered(files: Files) -> dict[str, list[str]]:
    """Return the listing as an index stores it."""
    return {prefix: [file.key for file in listed] for prefix, listed in files.items()}


def changed_buckets(before: Mapping[str, Sequence[str]], files: Files, log2_buckets: int) -> list[int]:
    """List the buckets whose rows may differ: those of any file that was added or is gone."""
    old = {key for keys in before.values() for key in keys}
    new = {file.key for listed in files.values() for file in listed}
    changed = [file for key in old ^ new if (file := DataFile.parse(key))]
    places = {(file.log2_buckets, file.bucket) for file in changed}
    return [
        bucket
        for bucket in range(1 << log2_buckets)
        if any(_overlap(bits, other, log2_buckets, bucket) for bits, other in places)
    ]


def _overlap(bits: int, other: int, log2_buckets: int, bucket: int) -> bool:
    return DataFile("", bits, other, 0).overlaps(log2_buckets, bucket)
