"""A post of the table as a draft, to be explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.backfilling.stages import POST_COLUMNS, extraction_request, sound_history
from viral.errors import UsageError
from viral.explain.outcome import OUTCOME_COLUMNS, Outcome
from viral.explain.platform_facts import PlatformFacts
from viral.explain.variants import Draft
from viral.extractors.feature_set import FeatureSet
from viral.scoring.scorer import Scorer
from viral.sounds.history import join_history
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.bucketed import BucketedTable, bucket_of
from viral.tables.places import labels_prefix, posts_table
from viral.tables.posts import is_web_address
from viral.tables.schemas import LABELS, PLATFORM_FACTS


@dataclass(frozen=True)
class StoredPost:
    """A draft; with what the platform says of it and what became of it, if it is a post of the table."""

    draft: Draft
    facts: PlatformFacts | None = None
    outcome: Outcome | None = None


def stored_post(store: Store, scorer: Scorer, post_id: str) -> StoredPost:
    """Read a post from the table, as a backfill of the model's feature set does.

    Raises:
        UsageError: there is no such post, or its video or slides are not stored.
    """
    row = _row(store, scorer.feature_set, post_id)
    request = extraction_request(row)
    uris = request.slides if request.slides is not None else (request.video_uri,)
    if not any(uri and not is_web_address(uri) for uri in uris):
        what = "video" if request.slides is None else "slide"
        raise UsageError(f"the post {post_id} has no stored {what}: explain needs one (viral fetch --posts)")
    draft = Draft(request.video_uri, request.context, row["author_id"], request.slides, request.sound_uri)
    return StoredPost(draft, PlatformFacts.from_row(row), Outcome.from_row(row, _label(store, scorer, post_id)))


def _label(store: Store, scorer: Scorer, post_id: str) -> dict[str, Any] | None:
    """Row of a post in the labels that the model was trained on; None if it has none, or they were replaced."""
    label = scorer.saved.card.get("label", {})
    try:
        table, about = replaced.open_current(store, labels_prefix(label.get("name", "")), LABELS)
    except UsageError:
        return None
    if about != label:
        return None
    rows = _rows_of_post(table, _bucket_of_post(table, post_id), post_id, ["post_id", "target", "split"])
    return rows.to_pylist()[0] if rows.num_rows else None


def _bucket_of_post(table: BucketedTable, post_id: str) -> tuple[int, int]:
    """Number of buckets, as bits, and the post's own: only that is read, however large the table is."""
    log2_buckets = table.log2_buckets()
    return log2_buckets, int(bucket_of(pa.chunked_array([[post_id]]), log2_buckets)[0])


def _rows_of_post(table: BucketedTable, where: tuple[int, int], post_id: str, columns: list[str]) -> pa.Table:
    rows = table.read(*where, columns)
    return rows.filter(pc.equal(rows["post_id"], post_id))


def _row(store: Store, feature_set: FeatureSet, post_id: str) -> dict[str, Any]:
    columns = list(dict.fromkeys([*POST_COLUMNS, "author_id", *PLATFORM_FACTS, *OUTCOME_COLUMNS]))
    table = posts_table(store)
    where = _bucket_of_post(table, post_id)
    posts = _rows_of_post(table, where, post_id, columns)
    if not posts.num_rows:
        raise UsageError(f"there is no post {post_id} in {store.root}")
    sounds = sound_history(store, feature_set)
    if sounds is not None:
        posts = join_history(posts, sounds, *where)
    row: dict[str, Any] = posts.to_pylist()[0]
    return row
