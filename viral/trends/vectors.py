"""Vectors of posts from the feature tables of a root."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.datasets.streams import Stream, from_table
from viral.errors import UsageError
from viral.extractors.feature_set import FeatureSet
from viral.extractors.spec import ExtractorSpec
from viral.features.feature_table import features_table
from viral.features.reuse import CARD
from viral.storage.store import Store, read_json
from viral.tables.bucketed import BucketedTable

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class VectorColumn:
    """The vectors of one extractor: where they are, and what they mean."""

    table: BucketedTable
    spec: ExtractorSpec

    def parts(self, post_ids: pa.Array) -> Iterator[tuple[npt.NDArray[np.int64], Vectors]]:
        """Read the vectors of posts in parts: indexes of posts (n,), and their vectors (n, dim).

        Args:
            post_ids: (N,), each once; posts without a vector are in no part.
        """
        stream = Stream(self.spec.name, self.spec.modality, self.spec.dim, self.spec.tokens)
        for rows in self.table.scan(["post_id", self.spec.name]):
            indexes = pc.index_in(rows["post_id"], post_ids)
            wanted = pc.and_(pc.is_valid(indexes), pc.is_valid(rows[self.spec.name]))
            vectors = from_table([stream], rows.filter(wanted)).vectors[self.spec.name]
            yield indexes.filter(wanted).to_numpy().astype(np.int64), vectors

    def read(self, post_ids: pa.Array) -> Vectors:
        """Read the vectors of posts (N,) into one array (N, dim), NaN where there is none."""
        vectors = np.full((len(post_ids), self.spec.dim), np.nan, np.float32)
        for indexes, part in self.parts(post_ids):
            vectors[indexes] = part
        return vectors


def vector_columns(store: Store) -> dict[str, VectorColumn]:
    """Find the vectors of a root, by extractor: of several tables that have one, the table with the most rows."""
    found: dict[str, VectorColumn] = {}
    tables = [(features_table(store, feature_set), feature_set) for feature_set in _feature_sets(store)]
    for table, feature_set in sorted(tables, key=lambda pair: -pair[0].stored_rows()):
        for spec in feature_set.specs:
            found.setdefault(spec.name, VectorColumn(table, spec))
    return found


def first_of(columns: dict[str, VectorColumn], names: Sequence[str]) -> VectorColumn | None:
    """The vectors of the first of these extractors that the root has."""
    return next((columns[name] for name in names if name in columns), None)


def _feature_sets(store: Store) -> Iterator[FeatureSet]:
    for info in store.objects("features"):
        if info.key.endswith(f"/{CARD}"):
            card = read_json(store, info.key) or {}
            # Sets with extractors or weights that this version does not know are left out.
            with suppress(UsageError):
                yield FeatureSet.from_dict(card["set"])
