"""Ray actors of a backfill: they decode and encode posts, write feature rows, and report to the driver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from jobs.backfilling.chunks import Chunk
from jobs.backfilling.profile import PostReport, cpu_clock, node_name
from jobs.runtime.buckets import batch_objects, object_batch
from jobs.runtime.metrics import BackfillMetrics
from viral.config import Settings
from viral.extractors.extractor import Context
from viral.extractors.feature_set import FeatureSet
from viral.extractors.popularity import Popularity
from viral.features.attempts import Retry, pending
from viral.features.feature_table import feature_row, features_table
from viral.features.pipeline import batches
from viral.features.posts import DecodedPost, ExtractionRequest, ExtractionResult
from viral.features.reuse import DecodeStage, EncodeStage
from viral.sounds.history import join_history, open_history
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.places import posts_table
from viral.tables.schemas import PHOTOS

POST_COLUMNS = (
    *("post_id", "video_uri", "has_sound", "kind", "slides", "sound_uri", "caption", "hashtags"),
    *("posted_at", "author_followers", "sound_original", "subtitles", "sticker_texts", "duration_seconds"),
)


@dataclass(frozen=True)
class BackfillSpec:
    """Configuration shared by all workers of a backfill; it has 2^`log2_buckets` buckets of posts and features."""

    store: Store
    feature_set: FeatureSet
    settings: Settings
    retry: Retry | None
    log2_buckets: int


class DecodeChunk:
    """First stage: selects the pending posts of a chunk and decodes them in a sandbox."""

    def __init__(self, spec: BackfillSpec) -> None:
        self.spec, self.metrics = spec, BackfillMetrics(spec.feature_set.name)
        self.posts, self.features = posts_table(spec.store), features_table(spec.store, spec.feature_set)
        self.sounds = sound_history(spec.store, spec.feature_set)
        self.stage = DecodeStage(spec.feature_set, spec.store, spec.settings)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        """Yield the decoded posts of each chunk, in groups."""
        for chunk in _chunks(batch):
            for group in self.groups(chunk):
                yield object_batch(group)

    def groups(self, chunk: Chunk) -> Iterator[list[DecodedPost]]:
        """Yield the decoded posts of a chunk, in groups for the encoder, with the node.

        Posts that already have a row are skipped, so that a chunk that Ray reruns after a crash reads no video twice.
        """
        log2_buckets, bucket = self.spec.log2_buckets, chunk.bucket
        posts = self.posts.read(log2_buckets, bucket, POST_COLUMNS)
        if self.sounds is not None:
            posts = join_history(posts, self.sounds, log2_buckets, bucket)
        posts = chunk.select(posts, log2_buckets)
        # Decided here, not by the driver: a list of all pending ids would not fit into one process.
        posts = pending(posts, self.features, log2_buckets, bucket, self.spec.retry)
        decoded = self.stage.decode([extraction_request(row) for row in posts.to_pylist()], log2_buckets, bucket)
        # In groups, so that the networks work on several posts at once and only one group of media is in memory.
        for group in batches(decoded):
            for post in group:
                self.metrics.record_decoded(post)
            yield [replace(post, node=node_name()) for post in group]


@dataclass(frozen=True)
class Encoded:
    """Rows of the feature table, and a report of each."""

    rows: pa.Table
    reports: list[PostReport]


class EncodePosts:
    """Second stage: computes rows of the feature table from decoded posts, with the networks on `device`.

    On a CPU, networks use one core: Ray sets `OMP_NUM_THREADS` to the cores of the actor, unless the user has set it.
    torch is not loaded for feature sets that do not need it, because that takes seconds.
    """

    def __init__(self, spec: BackfillSpec, device: str = "cpu") -> None:
        # On each node: its weights may be others than those of the driver.
        spec.feature_set.check_fingerprints()
        self.spec, self.metrics, self.started = spec, BackfillMetrics(spec.feature_set.name), cpu_clock()
        self.features = features_table(spec.store, spec.feature_set)
        self.stage = EncodeStage(spec.feature_set, device=device)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Write the rows of decoded posts, one file per bucket, and return a report of each post."""
        return object_batch(self.write([self.encode(batch_objects(batch))]))

    def encode(self, posts: Sequence[DecodedPost]) -> Encoded:
        """Compute the rows of decoded posts."""
        results = list(self.stage.encode(posts))
        rows = [feature_row(result, self.spec.feature_set) for result in results]
        return Encoded(pa.Table.from_pylist(rows, schema=self.features.schema), list(map(_report, posts, results)))

    def write(self, groups: Sequence[Encoded]) -> list[PostReport]:
        """Append the rows of groups to the feature table as one file per bucket, and return their reports."""
        rows, clocks = pa.concat_tables(group.rows for group in groups), (self.started, cpu_clock())
        self.features.append(rows, self.spec.log2_buckets)
        self.metrics.record_rows(rows)
        return [replace(report, clocks=clocks) for group in groups for report in group.reports]


class ExtractChunk:
    """Both stages in one actor, which keeps its extractors and sandbox until the job ends.

    Ray gives it one core, on which the networks run while the child process of the sandbox decodes the next file.
    Decoded media never leave the actor.
    """

    def __init__(self, spec: BackfillSpec, device: str = "cpu") -> None:
        self.decode, self.encode = DecodeChunk(spec), EncodePosts(spec, device)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        """Write the rows of each chunk as one file, and yield reports of its posts."""
        for chunk in _chunks(batch):
            if reports := self.extract(chunk):
                yield object_batch(reports)

    def extract(self, chunk: Chunk) -> list[PostReport]:
        """Write the rows of a chunk as one file, and return reports of its posts."""
        # Encoded group by group, so that only the media of one group are in memory; written once, as one file.
        groups = [self.encode.encode(group) for group in self.decode.groups(chunk)]
        return self.encode.write(groups) if groups else []


def extract_here(spec: BackfillSpec, chunks: Sequence[Chunk]) -> Iterator[PostReport]:
    """Process chunks in this process, without Ray; yield a report of each post."""
    import torch

    threads = torch.get_num_threads()
    actor = ExtractChunk(spec, "cuda" if torch.cuda.is_available() else "cpu")
    try:
        for chunk in chunks:
            yield from actor.extract(chunk)
    finally:
        actor.decode.stage.close()
        torch.set_num_threads(threads)


def _report(post: DecodedPost, result: ExtractionResult) -> PostReport:
    sizes = {
        name: vector.nbytes
        for name, vector in result.vectors.items()
        if name in result.stage_seconds and vector is not None
    }
    if "read" in result.stage_seconds:  # without it, the facts were reused from another table
        sizes["read"] = result.facts.bytes or 0
    if "decode" in result.stage_seconds and post.media is not None:
        sizes["decode"] = post.media.nbytes
    return PostReport(post.node or node_name(), node_name(), result.stage_seconds, sizes)


def _chunks(batch: pa.Table) -> list[Chunk]:
    return [Chunk(**row) for row in batch.to_pylist()]


def sound_history(store: Store, feature_set: FeatureSet, posts: int = 0) -> BucketedTable | None:
    """Open the table of earlier sound popularity if the set uses it; `posts` is the number of posts it must cover.

    Raises:
        TableError: the table is missing or covers fewer posts.
    """
    return open_history(store, posts) if Popularity.name in feature_set.dims else None


def extraction_request(post: dict[str, Any]) -> ExtractionRequest:
    """Convert a row of the posts table to a request: its files, and its context at the moment of posting."""
    hashtags = post.get("hashtags")
    context = Context(
        caption=post["caption"],
        hashtags=None if hashtags is None else tuple(hashtags),
        posted_at=post["posted_at"],
        author_followers=post["author_followers"],
        sound_original=post["sound_original"],
        sound_posts_before=post.get("sound_posts_before"),
        sound_uses_before=post.get("sound_uses_before"),
        subtitles=post.get("subtitles"),
        # No texts and an empty list mean the same: the modality is absent.
        sticker_texts=tuple(post.get("sticker_texts") or ()) or None,
    )
    return ExtractionRequest(
        post["post_id"],
        post["video_uri"],
        context,
        # `pending` adds the column in a backfill; a post that is only explained has none.
        attempt=post.get("attempt", 0),
        has_sound=post.get("has_sound"),
        # By the kind, not by the slides: a photo set without slides must fail as such, not pass for a text-only post.
        slides=tuple(post.get("slides") or ()) if post.get("kind") == PHOTOS else None,
        sound_uri=post.get("sound_uri"),
    )
