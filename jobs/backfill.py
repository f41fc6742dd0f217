"""The posts table → a feature table: every post ends as one row, whatever its video is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.buckets import MAX_TASKS, over_buckets
from jobs.extract import ExtractToParts, features_table
from jobs.ingest import posts_table
from jobs.session import session
from viral.config import Settings
from viral.errors import TableError, WeightsError
from viral.extractors.feature_set import FeatureSet
from viral.parts import Parts, bits_for
from viral.store import Store

# A part a call of the extract stage: small enough that a kill costs little and all workers end at about the same time,
# large enough that 10^8 posts make some 25,000 parts.
MIN_PART_ROWS, MAX_PART_ROWS, PARTS_AIMED_AT = 4, 4096, 400
EXTRACT_CPUS = 0.95  # what is left of a core runs the planning tasks, which would else wait for ever on a full machine
_POST_COLUMNS = ["post_id", "video_uri", "caption", "hashtags", "posted_at", "author_followers", "sound_original"]


@dataclass
class BackfillSummary:
    """What a backfill did: `posts = done_before + ok + partial + failed`."""

    table: str
    posts: int = 0
    done_before: int = 0
    ok: int = 0
    partial: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    wall_seconds: float = 0.0
    videos_per_second: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


Progress = Callable[[int, int], None]
"""Called with the posts done so far and all posts to do."""


def run(
    store: Store,
    feature_set: FeatureSet,
    settings: Settings,
    *,
    address: str | None = None,
    progress: Progress = lambda _done, _all: None,
    debug: bool = False,
) -> BackfillSummary:
    """Extract what is not extracted yet. The same call after a kill goes on; after a finished run it reads no video.

    Ray Data's own checkpoint would hold every id in the driver and filters only at file reads; here each bucket of
    posts is compared with the same bucket of features, on the cluster, so that the memory needed is a bucket's.

    Raises:
        TableError: there are no posts. WeightsError: an extractor's weights are missing.
    """
    missing = _missing_weights(feature_set)
    posts, features = posts_table(store), features_table(store, feature_set)
    parts = posts.parts()
    rows = sum(part.rows for part in parts)
    if not rows:
        raise TableError(f"the posts table of {store.root} is empty: ingest some first (viral ingest)")
    summary = BackfillSummary(feature_set.table, warnings=[f"{name}: {why}" for name, why in missing.items()])
    started = time.monotonic()
    with session(address, debug=debug):
        bits = bits_for(rows)
        plan = list(over_buckets(partial(_count, posts, features, bits), bits))
        summary.posts = sum(row["posts"] for row in plan)
        todo = sum(row["todo"] for row in plan)
        summary.done_before = summary.posts - todo
        if todo:
            _extract(store, feature_set, settings, bits, todo, summary, progress)
            list(over_buckets(partial(_compact, features, bits), bits))
    features.sweep(bits)
    summary.wall_seconds = time.monotonic() - started
    summary.videos_per_second = todo / summary.wall_seconds
    return summary


def _missing_weights(feature_set: FeatureSet) -> dict[str, str]:
    """The optional extractors that have to be done without; any other without weights ends the job before it starts."""
    missing = feature_set.unavailable()
    for entry in feature_set.entries:
        if entry.spec.name in missing and not entry.optional:
            raise WeightsError(missing[entry.spec.name])
    return missing


def _extract(
    store: Store,
    feature_set: FeatureSet,
    settings: Settings,
    bits: int,
    todo: int,
    summary: BackfillSummary,
    progress: Progress,
) -> None:
    import ray
    import ray.data

    posts, features = posts_table(store), features_table(store, feature_set)
    rows = min(MAX_PART_ROWS, max(MIN_PART_ROWS, todo // PARTS_AIMED_AT))
    workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
    buckets = ray.data.range(1 << bits, override_num_blocks=min(1 << bits, MAX_TASKS))
    outcomes = (
        buckets.map_batches(partial(_todo, posts, features, bits), batch_size=1, num_cpus=0.05, batch_format="pyarrow")
        .repartition(target_num_rows_per_block=rows)
        .map_batches(
            ExtractToParts,
            fn_constructor_args=(store, feature_set, settings, bits),
            batch_size=rows,
            batch_format="pyarrow",
            num_cpus=EXTRACT_CPUS,
            compute=ray.data.ActorPoolStrategy(size=min(workers, -(-todo // rows))),
        )
    )
    progress(0, todo)
    for done, row in enumerate(outcomes.iter_rows(), start=1):
        _tally(summary, row)
        progress(done, todo)


def _tally(summary: BackfillSummary, row: dict[str, Any]) -> None:
    setattr(summary, row["status"], getattr(summary, row["status"]) + 1)
    if row["reason"]:
        summary.reasons[row["reason"]] = summary.reasons.get(row["reason"], 0) + 1
    seconds = Counter(summary.stage_seconds)
    seconds.update(dict(row["stage_seconds"]))
    summary.stage_seconds = dict(seconds)


def _count(posts: Parts, features: Parts, bits: int, bucket: int) -> dict[str, int]:
    ids = posts.read(bits, bucket, ["post_id"])
    return {"posts": ids.num_rows, "todo": ids.num_rows - int(pc.sum(_is_done(ids, features, bits, bucket)).as_py())}


def _todo(posts: Parts, features: Parts, bits: int, batch: pa.Table) -> Iterator[pa.Table]:
    """The posts of these buckets that have no row yet."""
    for bucket in batch["id"].to_pylist():
        rows = posts.read(bits, bucket, _POST_COLUMNS)
        yield rows.filter(pc.invert(_is_done(rows, features, bits, bucket)))


def _is_done(rows: pa.Table, features: Parts, bits: int, bucket: int) -> pa.ChunkedArray:
    done = features.read(bits, bucket, ["post_id"])
    return pc.fill_null(pc.is_in(rows["post_id"], done["post_id"].combine_chunks()), False)


def _compact(features: Parts, bits: int, bucket: int) -> dict[str, int]:
    return {"changed": features.merge(None, bits, bucket)}
