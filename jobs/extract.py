"""The extract stage of a backfill: posts in, one part of the feature table out, and a line a post for the summary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

import viral
from jobs.ingest import posts_table
from viral.attempts import Retry, pending
from viral.config import Settings
from viral.extractors.extractor import Context
from viral.extractors.feature_set import FeatureSet
from viral.parts import Parts
from viral.pipeline import Job, Outcome
from viral.reuse import Extraction
from viral.store import Store
from viral.tables import features

POST_COLUMNS = (
    *("post_id", "video_uri", "caption", "hashtags"),
    *("posted_at", "author_followers", "sound_original"),
)


def features_table(store: Store, feature_set: FeatureSet) -> Parts:
    """The feature table of a set: read, it has one row a post, its newest attempt; earlier attempts are kept."""
    schema = features(feature_set.dims)
    return Parts(store, feature_set.table, schema, key="post_id", newest_by="attempt", history=True)


@dataclass(frozen=True)
class Chunk:
    """A unit of work: `size` posts of a bucket (of 2^bits), from the one at `start` on in order of post."""

    bits: int
    bucket: int
    start: int
    size: int


class ExtractChunk:
    """One worker: holds the extractors and a sandbox for as long as the job lasts.

    Ray gives it one core: the nets run on one thread, and the sandbox's child decodes while they do.
    """

    def __init__(self, store: Store, feature_set: FeatureSet, settings: Settings, retry: Retry | None) -> None:
        import torch

        torch.set_num_threads(1)
        self.extraction = Extraction(feature_set, store, settings)
        self.posts, self.features, self.retry = posts_table(store), features_table(store, feature_set), retry

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Write the posts' rows as one part a chunk, then say what became of each post.

        What has a row already is left out: a chunk that Ray runs again (a worker died) costs no video twice.
        """
        for values in zip(*(batch[name] for name in ("bits", "bucket", "start", "size")), strict=True):
            chunk = Chunk(*map(int, values))
            rows = self._rows(chunk)
            if rows.num_rows:
                self.features.append(rows, chunk.bits)
                yield summary_of(rows)

    def _rows(self, chunk: Chunk) -> pa.Table:
        posts = self.posts.read(chunk.bits, chunk.bucket, POST_COLUMNS).slice(chunk.start, chunk.size)
        todo = pending(posts, self.features, chunk.bits, chunk.bucket, self.retry).to_pylist()
        outcomes = self.extraction.run([job_of(post) for post in todo], chunk.bits, chunk.bucket)
        made = self.extraction.feature_set
        rows = [_row(outcome, post["attempt"], made) for outcome, post in zip(outcomes, todo, strict=True)]
        return pa.Table.from_pylist(rows, schema=self.features.schema)


def summary_of(rows: pa.Table) -> dict[str, Any]:
    """What the driver counts of each post: small, whatever the vectors are."""
    seconds = [json.dumps(dict(each)) for each in rows["stage_seconds"].to_pylist()]
    return {"status": rows["status"].to_pylist(), "reason": rows["reason"].to_pylist(), "seconds": seconds}


def job_of(post: dict[str, Any]) -> Job:
    """A row of the posts table as a job: its video, and what was known at the moment of posting."""
    hashtags = post.get("hashtags")
    context = Context(
        caption=post["caption"],
        hashtags=None if hashtags is None else tuple(hashtags),
        posted_at=post["posted_at"],
        author_followers=post["author_followers"],
        sound_original=post["sound_original"],
    )
    return Job(post["post_id"], post["video_uri"], context)


def _row(outcome: Outcome, attempt: int, feature_set: FeatureSet) -> dict[str, Any]:
    return {
        "post_id": outcome.post_id,
        "attempt": attempt,
        "status": outcome.status,
        "reason": outcome.reason,
        "detail": outcome.detail,
        "finished_at": datetime.now(UTC),
        "stage_seconds": list(outcome.stage_seconds.items()),
        "feature_set": feature_set.fingerprint,
        "code_version": viral.__version__,
        **asdict(outcome.facts),
        **{name: outcome.vectors.get(name) for name in feature_set.dims},
    }
