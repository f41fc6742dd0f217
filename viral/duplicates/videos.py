"""Clusters of posts that show the same video, from all feature tables of a root."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from viral.duplicates.clusters import VIDEO_COLUMNS, VideoClusters, video_clusters
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable, bucket_of, log2_buckets_for
from viral.tables.schemas import FACTS, feature_schema

_SCHEMA = pa.schema([FACTS.field(name) for name in VIDEO_COLUMNS])


def clusters_of(store: Store, post_ids: pa.ChunkedArray) -> VideoClusters:
    """Cluster posts by their videos; a post without features is alone."""
    return video_clusters(video_columns(store, post_ids))


def video_columns(store: Store, post_ids: pa.ChunkedArray) -> pa.Table:
    """Look up `VIDEO_COLUMNS` of each post, in order; null if no feature table has them.

    Reads these columns of each table, and joins them bucket by bucket, so that the time grows with the posts.
    """
    tables = [_hash_table(store, name) for name in feature_tables(store)]
    if not tables:
        return _SCHEMA.empty_table().take(pa.nulls(len(post_ids), pa.int64()))
    log2_buckets = log2_buckets_for(len(post_ids))
    buckets = bucket_of(post_ids, log2_buckets)
    # Posts side by side by bucket, so that each bucket is one slice.
    order = np.argsort(buckets, kind="stable")
    ends = np.searchsorted(buckets[order], np.arange(1 << log2_buckets), side="right")
    pieces = []
    for bucket, (start, end) in enumerate(zip(np.concatenate([[0], ends[:-1]]), ends, strict=True)):
        ids = post_ids.take(pa.array(order[start:end])).combine_chunks()
        pieces.append(_columns(tables, log2_buckets, bucket, ids))
    # The inverse permutation: back to the order of `post_ids`.
    return pa.concat_tables(pieces).take(pa.array(np.argsort(order, kind="stable")))


def _columns(tables: list[BucketedTable], log2_buckets: int, bucket: int, ids: pa.Array) -> pa.Table:
    columns = {name: pa.nulls(len(ids), _SCHEMA.field(name).type) for name in VIDEO_COLUMNS}
    for table in tables:
        rows = table.read(log2_buckets, bucket, ["post_id", *VIDEO_COLUMNS])
        index = pc.index_in(ids, rows["post_id"].combine_chunks())
        for name in VIDEO_COLUMNS:
            # Another table of the root may know the hash of a post that failed in this one.
            columns[name] = pc.coalesce(columns[name], rows[name].combine_chunks().take(index))
    return pa.table(columns, schema=_SCHEMA)


def _hash_table(store: Store, name: str) -> BucketedTable:
    return BucketedTable(store, name, feature_schema(()), key="post_id", newest_by="attempt", history=True)


def feature_tables(store: Store) -> list[str]:
    """List the feature tables of a root."""
    keys = (info.key for info in store.objects("features"))
    return sorted({"/".join(key.split("/")[:2]) for key in keys if key.endswith(".parquet")})
