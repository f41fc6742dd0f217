"""The extract stage of a backfill: posts in, one part of the feature table out, and a line a post for the summary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

import viral
from viral.config import Settings
from viral.extractors.extractor import Context
from viral.extractors.feature_set import FeatureSet
from viral.parts import Parts
from viral.pipeline import Job, Outcome, Pipeline
from viral.store import Store
from viral.tables import features

SUMMARY = pa.schema(
    [
        pa.field("post_id", pa.string()),
        pa.field("status", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("stage_seconds", pa.map_(pa.string(), pa.float64())),
    ]
)


def features_table(store: Store, feature_set: FeatureSet) -> Parts:
    """The feature table of a set: one row a post, its newest attempt."""
    schema = features(feature_set.dims)
    return Parts(store, feature_set.table, schema, key="post_id", newest_by="attempt")


class ExtractToParts:
    """One worker: holds the extractors and a sandbox for as long as the job lasts.

    Ray gives it one core: the nets run on one thread, and the sandbox's child decodes while they do.
    """

    def __init__(self, store: Store, feature_set: FeatureSet, settings: Settings, bits: int) -> None:
        import torch

        torch.set_num_threads(1)
        self.pipeline = Pipeline(feature_set, store, settings)
        self.table = features_table(store, feature_set)
        self.bits = bits

    def __call__(self, posts: pa.Table) -> Iterator[pa.Table]:
        """Write the posts' rows as parts, then say what became of them."""
        outcomes = list(self.pipeline.run(job_of(row) for row in posts.to_pylist()))
        rows = [_row(outcome, self.pipeline.feature_set) for outcome in outcomes]
        self.table.append(pa.Table.from_pylist(rows, schema=self.table.schema), self.bits)
        yield pa.Table.from_pylist(rows, schema=SUMMARY)


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


def _row(outcome: Outcome, feature_set: FeatureSet) -> dict[str, Any]:
    return {
        "post_id": outcome.post_id,
        "attempt": 0,
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
