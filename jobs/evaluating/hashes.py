"""Hashes of the posts' video files, from all feature tables of a root."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable, bucket_of, log2_buckets_for
from viral.tables.schemas import feature_schema


def video_hashes(store: Store, post_ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Look up the SHA-256 of each post's file, in order; null if no feature table has it.

    Reads one narrow column per table, and joins it bucket by bucket, so that the time grows with the posts.
    """
    tables = [_hash_table(store, name) for name in feature_tables(store)]
    if not tables:
        return pa.chunked_array([pa.nulls(len(post_ids), pa.string())])
    log2_buckets = log2_buckets_for(len(post_ids))
    buckets = bucket_of(post_ids, log2_buckets)
    order = np.argsort(buckets, kind="stable")
    ends = np.searchsorted(buckets[order], np.arange(1 << log2_buckets), side="right")
    pieces = []
    for bucket, (start, end) in enumerate(zip(np.concatenate([[0], ends[:-1]]), ends, strict=True)):
        ids = post_ids.take(pa.array(order[start:end])).combine_chunks()
        pieces.append(_hashes(tables, log2_buckets, bucket, ids))
    return pa.chunked_array(pieces, pa.string()).take(pa.array(np.argsort(order, kind="stable")))


def _hashes(tables: list[BucketedTable], log2_buckets: int, bucket: int, ids: pa.Array) -> pa.Array:
    hashes = pa.nulls(len(ids), pa.string())
    for table in tables:
        rows = table.read(log2_buckets, bucket, ["post_id", "sha256"])
        index = pc.index_in(ids, rows["post_id"].combine_chunks())
        hashes = pc.coalesce(hashes, rows["sha256"].combine_chunks().take(index))
    return hashes


def _hash_table(store: Store, name: str) -> BucketedTable:
    return BucketedTable(store, name, feature_schema(()), key="post_id", newest_by="attempt", history=True)


def feature_tables(store: Store) -> list[str]:
    """List the feature tables of a root."""
    keys = (info.key for info in store.objects("features"))
    return sorted({"/".join(key.split("/")[:2]) for key in keys if key.endswith(".parquet")})
