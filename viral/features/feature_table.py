"""The feature table of a feature set, and its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

import viral
from viral.extractors.feature_set import FeatureSet
from viral.features.posts import ExtractionResult
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.schemas import feature_schema, note_column


def features_table(store: Store, feature_set: FeatureSet) -> BucketedTable:
    """The feature table of a set. It keeps every attempt at a post; reading it gives the newest one per post."""
    schema = feature_schema(feature_set.dims, feature_set.noted_extractors)
    return BucketedTable(store, feature_set.table, schema, key="post_id", newest_by="attempt", history=True)


def load_features(store: Store, feature_set: FeatureSet, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the newest attempt of each post into memory, ordered by `post_id`."""
    return features_table(store, feature_set).read(columns=columns)


def feature_row(result: ExtractionResult, feature_set: FeatureSet) -> dict[str, Any]:
    """The row of a result in the feature table of a set; it is finished now."""
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
