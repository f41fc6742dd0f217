"""Hashes of the posts' video files, from all feature tables of a root."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.schemas import feature_schema


def video_hashes(store: Store, post_ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Look up the SHA-256 of each post's file; null if no feature table has it. Reads one narrow column per table."""
    hashes = pa.chunked_array([pa.nulls(len(post_ids), pa.string())])
    for table in feature_tables(store):
        features = BucketedTable(store, table, feature_schema(()), key="post_id", newest_by="attempt", history=True)
        for rows in features.scan(["post_id", "sha256"]):
            matched = rows["sha256"].take(pc.index_in(post_ids, rows["post_id"].combine_chunks()))
            hashes = pc.coalesce(hashes, matched)
    return hashes


def feature_tables(store: Store) -> list[str]:
    """List the feature tables of a root."""
    keys = (info.key for info in store.objects("features"))
    return sorted({"/".join(key.split("/")[:2]) for key in keys if key.endswith(".parquet")})
