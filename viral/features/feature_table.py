"""Feature table of a feature set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

import viral
from viral.errors import TableError
from viral.extractors.feature_set import FeatureSet
from viral.features.posts import ExtractionResult
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.schemas import feature_schema, note_column


def features_table(store: Store, feature_set: FeatureSet) -> BucketedTable:
    """Return the feature table of a set. It keeps all attempts at a post; `read` returns the newest one."""
    # With history, since older attempts decide on quarantine.
    schema = feature_schema(feature_set.dims, feature_set.noted_extractors)
    return BucketedTable(store, feature_set.table, schema, key="post_id", newest_by="attempt", history=True)


def missing_table_error(store: Store, feature_set: FeatureSet) -> TableError:
    """Build the error of a command whose feature table is missing or empty; it names the tables that there are."""
    tables = sorted({info.key.split("/")[1] for info in store.objects("features") if info.key.endswith(".parquet")})
    others = f"there are {', '.join(tables)} (--feature-set)" if tables else "backfill first (viral backfill)"
    return TableError(f"there is no table {feature_set.table} in {store.root}: {others}")


def load_features(store: Store, feature_set: FeatureSet, columns: Sequence[str] | None = None) -> pa.Table:
    """Load the newest attempt at each post into memory, ordered by `post_id`."""
    return features_table(store, feature_set).read(columns=columns)


def feature_row(result: ExtractionResult, feature_set: FeatureSet) -> dict[str, Any]:
    """Convert a result to a row of the feature table, with the current time as `finished_at`."""
    return {
        "post_id": result.post_id,
        "attempt": result.attempt,
        "status": result.status,
        "reason": result.reason,
        "detail": result.detail,
        "finished_at": datetime.now(UTC),
        "stage_seconds": list(result.stage_seconds.items()),
        "feature_set": feature_set.fingerprint,
        "code_version": viral.__version__,
        **asdict(result.facts),
        **{name: result.vectors.get(name) for name in feature_set.dims},
        **{note_column(name): result.notes.get(name) for name in feature_set.noted_extractors},
    }
