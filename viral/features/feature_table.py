"""The feature table of a feature set."""

from __future__ import annotations

from viral.extractors.feature_set import FeatureSet
from viral.storage.store import Store
from viral.tables.bucketed import Parts
from viral.tables.schemas import features


def features_table(store: Store, feature_set: FeatureSet) -> Parts:
    """The feature table of a set: read, it has one row a post, its newest attempt; earlier attempts are kept."""
    schema = features(feature_set.dims, feature_set.tells)
    return Parts(store, feature_set.table, schema, key="post_id", newest_by="attempt", history=True)
