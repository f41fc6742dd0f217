"""The posts table → a feature table: every post ends as one row, whatever its video is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click

from jobs.buckets import over_buckets
from jobs.extract import Chunk, ExtractChunk, features_table
from jobs.ingest import posts_table
from jobs.options import chosen_set, feature_set_options
from jobs.session import session
from viral.attempts import Retry, pending
from viral.cli import bar, common, execute, on_ray, say
from viral.config import Settings, load
from viral.errors import ConfigError, TableError, WeightsError
from viral.extractors.feature_set import FeatureSet
from viral.history import Recorder, recorded
from viral.parts import Parts, bits_for
from viral.reuse import declare, donors
from viral.store import Store

# Rows of a chunk, which is what one call of the extract stage turns into one part: few enough that a kill costs little
# and all workers end at about the same time, enough that 10^8 posts make some 25,000 parts.
MIN_CHUNK, MAX_CHUNK, CHUNKS_AIMED_AT = 4, 4096, 400


@dataclass
class BackfillSummary:
    """What a backfill did: `posts = done_before + ok + partial + failed`."""

    table: str
    reuses: dict[str, str] = field(default_factory=dict)
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
    retry: Retry | None = None,
    address: str | None = None,
    progress: Progress = lambda _done, _all: None,
    debug: bool = False,
) -> BackfillSummary:
    """Extract what is not extracted yet. The same call after a kill goes on; after a finished run it reads no video.

    Ray Data's own checkpoint would hold every id in the driver and filters only at file reads; here each bucket of
    posts is compared with the same bucket of features, on the cluster, so that the memory needed is a bucket's.

    Args:
        store: where posts are read and features written.
        feature_set: what to extract.
        settings: limits of media and sandbox.
        retry: which failed posts to try again, besides those without a row; each try adds an attempt.
        address: the Ray cluster; None: this machine, or the session that is there.
        progress: called after each post.
        debug: show Ray's own output.

    Raises:
        TableError: there are no posts. WeightsError: an extractor's weights are missing.
    """
    missing = _missing_weights(feature_set)
    posts, features = posts_table(store), features_table(store, feature_set)
    parts = posts.parts()
    rows = sum(part.rows for part in parts)
    if not rows:
        raise TableError(f"the posts table of {store.root} is empty: ingest some first (viral ingest)")
    declare(store, feature_set)
    summary = BackfillSummary(
        feature_set.table, _reused(store, feature_set), warnings=[f"{name}: {why}" for name, why in missing.items()]
    )
    started = time.monotonic()
    with session(address, debug=debug):
        bits = bits_for(rows)
        plan = list(over_buckets(partial(_count, posts, features, bits, retry), bits))
        summary.posts = sum(row["posts"] for row in plan)
        todo = sum(row["todo"] for row in plan)
        summary.done_before = summary.posts - todo
        if todo:
            size = min(MAX_CHUNK, max(MIN_CHUNK, todo // CHUNKS_AIMED_AT))
            chunks = [
                Chunk(bits, row["bucket"], start, size)
                for row in plan
                if row["todo"]
                for start in range(0, row["posts"], size)
            ]
            worker = (store, feature_set, settings, retry)
            _extract(worker, chunks, partial(_tally, summary), progress, todo)
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


def _reused(store: Store, feature_set: FeatureSet) -> dict[str, str]:
    """The tables that vectors are taken from, and which ones."""
    return {donor.table.prefix: ", ".join(donor.extractors) for donor in donors(store, feature_set)}


def _extract(
    worker: tuple[Any, ...],
    chunks: Sequence[Chunk],
    tally: Callable[[dict[str, Any]], None],
    progress: Progress,
    todo: int,
) -> None:
    """Run the chunks on one actor a core; each is made with `worker`, holds the extractors and its own sandbox."""
    import ray
    import ray.data

    workers = min(len(chunks), max(1, int(ray.cluster_resources().get("CPU", 1))))
    outcomes = ray.data.from_items([asdict(chunk) for chunk in chunks], override_num_blocks=len(chunks)).map_batches(
        ExtractChunk,
        fn_constructor_args=worker,
        batch_size=1,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )
    progress(0, todo)
    for done, row in enumerate(outcomes.iter_rows(), start=1):
        tally(row)
        progress(done, todo)


def _tally(summary: BackfillSummary, row: dict[str, Any]) -> None:
    setattr(summary, row["status"], getattr(summary, row["status"]) + 1)
    if row["reason"]:
        summary.reasons[row["reason"]] = summary.reasons.get(row["reason"], 0) + 1
    for stage, seconds in json.loads(row["seconds"]).items():
        summary.stage_seconds[stage] = summary.stage_seconds.get(stage, 0.0) + seconds


def _count(posts: Parts, features: Parts, bits: int, retry: Retry | None, bucket: int) -> dict[str, int]:
    ids = posts.read(bits, bucket, ["post_id"])
    todo = pending(ids, features, bits, bucket, retry).num_rows
    return {"bucket": bucket, "posts": ids.num_rows, "todo": todo}


def _compact(features: Parts, bits: int, bucket: int) -> dict[str, int]:
    return {"changed": features.merge(None, bits, bucket)}


@click.command()
@feature_set_options
@click.option("--retry-failed", is_flag=True, help="Try failed posts again; each try adds an attempt.")
@click.option("--reason", "only", multiple=True, help="With --retry-failed: those that failed for this reason only.")
@click.option("--quarantined", is_flag=True, help="With --retry-failed: also those that ended their process twice.")
@on_ray
@common
def command(
    feature_set: str,
    weights: str | None,
    retry_failed: bool,
    only: tuple[str, ...],
    quarantined: bool,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Extract features from the videos of all posts; a post that cannot be processed becomes a row with its reason."""
    if (only or quarantined) and not retry_failed:
        raise ConfigError("--reason and --quarantined say which failed posts to try again: add --retry-failed")
    retry = Retry(datetime.now(UTC), only, quarantined) if retry_failed else None
    chosen = chosen_set(feature_set, weights)
    store, shown = Store.open(root), bar("backfill")

    def work(record: Recorder) -> BackfillSummary:
        def progress(done: int, total: int) -> None:
            shown(done, total)
            record.progress(done, total)

        return run(store, chosen, load(), retry=retry, address=address, progress=progress, debug=debug)

    say(recorded(store, "backfill", work), as_json=as_json)


if __name__ == "__main__":
    execute(command)
