"""A post of the table as a draft, to be explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.backfilling.stages import POST_COLUMNS, extraction_request, sound_history
from viral.errors import UsageError
from viral.explain.platform_facts import PlatformFacts
from viral.explain.variants import Draft
from viral.extractors.feature_set import FeatureSet
from viral.sounds.history import join_history
from viral.storage.store import Store
from viral.tables.bucketed import bucket_of
from viral.tables.places import posts_table
from viral.tables.posts import is_web_address
from viral.tables.schemas import PLATFORM_FACTS


@dataclass(frozen=True)
class StoredPost:
    """A draft with what the platform says of it, if it is a post of the table."""

    draft: Draft
    facts: PlatformFacts | None = None


def stored_post(store: Store, feature_set: FeatureSet, post_id: str) -> StoredPost:
    """Read a post from the table, as a backfill of the feature set does.

    Raises:
        UsageError: there is no such post, or its video or slides are not stored.
    """
    row = _row(store, feature_set, post_id)
    request = extraction_request(row)
    uris = request.slides if request.slides is not None else (request.video_uri,)
    if not any(uri and not is_web_address(uri) for uri in uris):
        what = "video" if request.slides is None else "slide"
        raise UsageError(f"the post {post_id} has no stored {what}: explain needs one (viral fetch --posts)")
    draft = Draft(request.video_uri, request.context, row["author_id"], request.slides, request.sound_uri)
    return StoredPost(draft, PlatformFacts.from_row(row))


def _row(store: Store, feature_set: FeatureSet, post_id: str) -> dict[str, Any]:
    table = posts_table(store)
    log2_buckets = table.log2_buckets()
    # Only the post's own bucket is read, however large the table is.
    bucket = int(bucket_of(pa.chunked_array([[post_id]]), log2_buckets)[0])
    columns = list(dict.fromkeys([*POST_COLUMNS, "author_id", *PLATFORM_FACTS]))
    posts = table.read(log2_buckets, bucket, columns)
    posts = posts.filter(pc.equal(posts["post_id"], post_id))
    if not posts.num_rows:
        raise UsageError(f"there is no post {post_id} in {store.root}")
    sounds = sound_history(store, feature_set)
    if sounds is not None:
        posts = join_history(posts, sounds, log2_buckets, bucket)
    row: dict[str, Any] = posts.to_pylist()[0]
    return row
