"""The hashes of the posts' videos, from whatever feature tables there are."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from viral.storage.store import Store
from viral.tables.bucketed import Parts
from viral.tables.schemas import features


def hashes_of(store: Store, post_ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """The SHA-256 of each post's file, null where no feature table knows it. Reads one narrow column of each table."""
    found = pa.chunked_array([pa.nulls(len(post_ids), pa.string())])
    for table in feature_tables(store):
        parts = Parts(store, table, features(()), key="post_id", newest_by="attempt", history=True)
        for rows in parts.scan(["post_id", "sha256"]):
            known = rows["sha256"].take(pc.index_in(post_ids, rows["post_id"].combine_chunks()))
            found = pc.coalesce(found, known)
    return found


def feature_tables(store: Store) -> list[str]:
    """The feature tables of a root."""
    keys = (info.key for info in store.objects("features"))
    return sorted({"/".join(key.split("/")[:2]) for key in keys if key.endswith(".parquet")})
