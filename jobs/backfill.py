"""The posts table → a feature table: every post ends as one row, whatever its video is."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import click
import pyarrow as pa
import pyarrow.compute as pc

from jobs.backfilling.shapes import outcomes, workers_of
from jobs.backfilling.stages import Chunk, Work, sounds_known
from jobs.runtime.buckets import over_buckets
from jobs.runtime.metrics import Queue
from jobs.runtime.options import chosen_set, feature_set_options
from jobs.runtime.session import session
from viral.config import Settings, load
from viral.console.commands import execute
from viral.console.options import common, on_ray
from viral.console.output import bar, say
from viral.errors import ConfigError, TableError, ViralError, WeightsError
from viral.extractors.feature_set import FeatureSet
from viral.features.attempts import Retry, pending
from viral.features.feature_table import features_table
from viral.features.pipeline import from_root
from viral.features.reuse import declare, donors
from viral.storage.store import Store
from viral.tables.bucketed import Parts, bits_for
from viral.tables.places import posts_table
from viral.tables.run_log import Recorder, recorded

# Posts of a chunk, which is what one call of the extract stage turns into one part: few enough that a kill costs little
# and long videos leave no worker behind when the others have ended, enough that 10^8 posts make some 25,000 parts.
MIN_CHUNK, MAX_CHUNK, CHUNKS_A_WORKER = 4, 4096, 32
CHUNKS_A_BUCKET = 64  # each looks into the parts that the others of its bucket have written
ROUNDS = 3


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


Ended = tuple[str, str | None]
"""A status with its reason."""

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
        TableError: there are no posts, or nothing is known of their sounds and the feature set looks at it.
        WeightsError: an extractor's weights are missing.
    """
    feature_set = from_root(feature_set, store)
    missing = _missing_weights(feature_set)
    rows = sum(part.rows for part in posts_table(store).parts())
    if not rows:
        raise TableError(f"the posts table of {store.root} is empty: ingest some first (viral ingest)")
    sounds_known(store, feature_set, rows)  # where they are missed, before anything is begun
    declare(store, feature_set)
    summary = BackfillSummary(feature_set.table, _reused(store, feature_set))
    summary.warnings = [f"{name}: {why}" for name, why in missing.items()]
    started = time.monotonic()
    with session(address, debug=debug):
        _fill(Work(store, feature_set, settings, retry, bits_for(rows)), summary, progress)
    summary.wall_seconds = time.monotonic() - started
    summary.videos_per_second = (summary.posts - summary.done_before) / summary.wall_seconds
    return summary


def _fill(work: Work, summary: BackfillSummary, progress: Progress) -> None:
    """Plan, extract, compact and count, bucket by bucket.

    Planned again until nothing is left: of the posts that a decoding worker had handed on when it died, Ray drops those
    that it decodes in its next life, since it takes them for the ones that it has.

    Raises:
        ViralError: posts are left after several rounds.
    """
    features = features_table(work.store, work.feature_set)
    first = plan = _plan(work, features)
    summary.posts, todo = _sum(plan, "posts"), _sum(plan, "todo")
    summary.done_before = summary.posts - todo
    left = todo
    for _ in range(ROUNDS):
        told = _extract(work, plan, partial(_tally, summary), progress, todo) if left else 0
        if left or features.scattered(work.bits):
            ended = list(over_buckets(partial(_compacted, features, work.bits), work.bits))
            _account(summary, _added(ended) - _added(first))
        plan = _plan(work, features) if told < left else []
        if not (left := _sum(plan, "todo")):
            break
    else:
        raise ViralError(f"{left} posts have no row after {ROUNDS} rounds: run the same command again")
    if todo:
        progress(todo, todo)
    features.sweep(work.bits)


def _plan(work: Work, features: Parts) -> list[dict[str, Any]]:
    return list(over_buckets(partial(_planned, posts_table(work.store), features, work), work.bits))


def _sum(plan: Sequence[dict[str, Any]], name: str) -> int:
    return sum(row[name] for row in plan)


def _chunks(plan: Sequence[dict[str, Any]], todo: int, workers: int) -> list[Chunk]:
    """The posts to do in shares of about the same size: a few new posts among many old ones make few chunks."""
    size = min(MAX_CHUNK, max(MIN_CHUNK, todo // (workers * CHUNKS_A_WORKER)))
    shares = {row["bucket"]: min(CHUNKS_A_BUCKET, -(-row["todo"] // size)) for row in plan}
    return [Chunk(bucket, share, count) for bucket, count in shares.items() for share in range(count)]


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
    work: Work, plan: Sequence[dict[str, Any]], tally: Callable[[dict[str, Any]], None], progress: Progress, todo: int
) -> int:
    """Process what a plan says; how many posts were told of: one whose worker died after writing its row is not."""
    waiting, left = Queue(work.feature_set.name), _sum(plan, "todo")
    told, chunks = 0, _chunks(plan, left, workers_of(work))
    progress(todo - left, todo)
    for told, row in enumerate(outcomes(work, chunks).iter_rows(), start=1):
        tally(row)
        waiting.set(max(0, left - told))
        progress(min(todo - left + told, todo), todo)
    waiting.set(0)
    return told


def _tally(summary: BackfillSummary, row: dict[str, Any]) -> None:
    for stage, seconds in json.loads(row["seconds"]).items():
        summary.stage_seconds[stage] = summary.stage_seconds.get(stage, 0.0) + seconds


def _planned(posts: Parts, features: Parts, work: Work, bucket: int) -> dict[str, Any]:
    """How many posts a bucket has, how many of them are to be processed, and what became of all others."""
    ids = posts.read(work.bits, bucket, ["post_id"])
    todo = pending(ids, features, work.bits, bucket, work.retry)
    return {
        "bucket": bucket,
        "posts": ids.num_rows,
        "todo": todo.num_rows,
        "ended": _ended(features, work.bits, bucket, todo["post_id"]),
    }


def _compacted(features: Parts, bits: int, bucket: int) -> dict[str, Any]:
    """Merge a bucket's parts where it pays, and say what became of its posts."""
    features.compact(bits, bucket)
    return {"ended": _ended(features, bits, bucket)}


def _ended(features: Parts, bits: int, bucket: int, without: pa.ChunkedArray | None = None) -> str:
    """How many posts of a bucket ended with which status and reason, as JSON: `[[status, reason, count], …]`."""
    rows = features.read(bits, bucket, ["post_id", "status", "reason"])
    if without is not None:
        rows = rows.filter(pc.invert(pc.is_in(rows["post_id"], without.combine_chunks())))
    counted = rows.group_by(["status", "reason"]).aggregate([([], "count_all")])
    return json.dumps([[row["status"], row["reason"], row["count_all"]] for row in counted.to_pylist()])


def _added(rows: Iterable[dict[str, Any]]) -> Counter[Ended]:
    total: Counter[Ended] = Counter()
    for row in rows:
        for status, reason, count in json.loads(row["ended"]):
            total[status, reason] += count
    return total


def _account(summary: BackfillSummary, ended: Counter[Ended]) -> None:
    """Of all rounds so far: it counts from the first plan."""
    summary.ok = summary.partial = summary.failed = 0
    summary.reasons.clear()
    for (status, reason), count in ended.items():
        setattr(summary, status, getattr(summary, status) + count)
        if reason:
            summary.reasons[reason] = summary.reasons.get(reason, 0) + count


@click.command()
@feature_set_options
@click.option("--retry-failed", is_flag=True, help="Try failed posts again; each try adds an attempt.")
@click.option("--reason", "only", multiple=True, help="With --retry-failed: those that failed for this reason only.")
@click.option("--quarantined", is_flag=True, help="With --retry-failed: also those that ended their process twice.")
@click.option("--shape", type=click.Choice(["auto", "fused", "two-stage"]), help="Over the setting backfill.shape.")
@on_ray
@common
def command(
    feature_set: str,
    weights: str | None,
    retry_failed: bool,
    only: tuple[str, ...],
    quarantined: bool,
    shape: Literal["auto", "fused", "two-stage"] | None,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Extract features from the videos of all posts; a post that cannot be processed becomes a row with its reason."""
    if (only or quarantined) and not retry_failed:
        raise ConfigError("--reason and --quarantined say which failed posts to try again: add --retry-failed")
    retry = Retry(datetime.now(UTC), only, quarantined) if retry_failed else None
    store, settings = Store.open(root), load()
    chosen = chosen_set(feature_set, weights, store)
    if shape:
        settings = settings.model_copy(update={"backfill": settings.backfill.model_copy(update={"shape": shape})})
    shown = bar("backfill")

    def work(record: Recorder) -> BackfillSummary:
        def progress(done: int, total: int) -> None:
            shown(done, total)
            record.progress(done, total)

        return run(store, chosen, settings, retry=retry, address=address, progress=progress, debug=debug)

    say(recorded(store, "backfill", work), as_json=as_json)


if __name__ == "__main__":
    execute(command)
