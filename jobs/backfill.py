"""The `viral backfill` command: fills a feature table with one row per post, even for posts that fail."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import click
import pyarrow as pa
import pyarrow.compute as pc

from jobs.backfilling.chunks import CHUNK_COLUMNS, BucketPlan, count_lengths, split_into_chunks
from jobs.backfilling.profile import PostReport, Profile
from jobs.backfilling.shapes import num_gpus, num_workers, reports, runs_here
from jobs.backfilling.stages import BackfillSpec, extract_here, sound_history
from jobs.backfilling.summary import BackfillSummary, StatusCounts, sum_counts
from jobs.runtime.buckets import iter_objects, map_buckets
from jobs.runtime.metrics import QueueGauge
from jobs.runtime.options import feature_set_options, resolve_feature_set
from jobs.runtime.session import session
from viral.config import Settings, load
from viral.console.commands import execute
from viral.console.options import ray_options, root_options
from viral.console.output import ProgressCallback, all_failed, print_summary, progress_bar
from viral.errors import ConfigError, ViralError, WeightsError
from viral.extractors.feature_set import FeatureSet
from viral.features.attempts import Retry, pending
from viral.features.feature_table import features_table
from viral.features.pipeline import with_root_weights
from viral.features.reuse import tables_sharing_extractors, write_feature_card
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable, log2_buckets_for
from viral.tables.places import posts_table
from viral.tables.posts import no_posts_error
from viral.tables.run_log import record_run

ROUNDS = 3  # one, plus two for posts that Ray drops when a decoding worker dies, see `_fill`


def run(
    store: Store,
    feature_set: FeatureSet,
    settings: Settings,
    *,
    retry: Retry | None = None,
    profile: Profile | None = None,
    address: str | None = None,
    progress: ProgressCallback = lambda _done, _total: None,
    debug: bool = False,
) -> BackfillSummary:
    """Extract the missing features. A killed backfill resumes when run again; a complete one reads no video.

    Each bucket of posts is compared with the same bucket of features on the cluster, so memory is bounded by the bucket
    size. Ray Data's checkpoints would hold every id in the driver, and filter only when files are read.

    Args:
        store: root with the posts and the feature tables.
        feature_set: features to extract.
        settings: limits on media and the sandbox, and the shape of the job.
        retry: failed posts to process again, as a new attempt each.
        profile: gets a report of each post.
        address: Ray cluster to connect to; None: the current Ray session, or a new one on this machine.
        progress: called after each post.
        debug: show the output of Ray.

    Raises:
        TableError: there are no posts, or the feature set needs the popularity of sounds and its table is missing.
        WeightsError: the weights of an extractor are missing.
    """
    feature_set = with_root_weights(feature_set, store)
    # Before Ray starts, which takes seconds: what is missing shows at once.
    missing = _missing_weights(feature_set)
    posts = _count_posts(store, feature_set)
    # Before any row, so that later sets find this table even if the run is killed.
    write_feature_card(store, feature_set)
    reuses = {s.table.prefix: ", ".join(s.extractors) for s in tables_sharing_extractors(store, feature_set)}
    warnings = [f"{name}: {error}" for name, error in missing.items()]
    summary = BackfillSummary(feature_set.table, reuses=reuses, warnings=warnings)
    started = time.monotonic()
    with session(address, store, debug=debug):
        _fill(
            BackfillSpec(store, feature_set, settings, retry, log2_buckets_for(posts)),
            _Watch(summary, progress, profile or Profile()),
        )
    summary.wall_seconds = time.monotonic() - started
    summary.videos_per_second = (summary.posts - summary.done_before) / summary.wall_seconds
    return summary


def _count_posts(store: Store, feature_set: FeatureSet) -> int:
    """Count the posts. Raises TableError if there are none, or if their sounds are needed and not counted yet."""
    posts = posts_table(store).stored_rows()
    if not posts:
        raise no_posts_error(store)
    sound_history(store, feature_set, posts)
    return posts


@dataclass(frozen=True)
class _Watch:
    """What a running backfill fills in and calls."""

    summary: BackfillSummary
    progress: ProgressCallback
    profile: Profile


def _fill(spec: BackfillSpec, watch: _Watch) -> None:
    """Plan, extract, compact and count, until no post is pending.

    A decoding worker that dies makes another round necessary: Ray reruns its chunk and drops as many posts as it had
    received before, since it expects to get the same posts again.

    Raises:
        ViralError: posts are still pending after `ROUNDS` rounds.
    """
    features, log2_buckets = features_table(spec.store, spec.feature_set), spec.log2_buckets
    summary = watch.summary
    # The counts of the summary are those of this run: rows that were there before it are subtracted at the end.
    first_plans = plans = _plan(spec, features)
    total = pending_posts = sum(plan.pending for plan in plans)
    summary.posts = sum(plan.posts for plan in plans)
    summary.done_before = summary.posts - total
    done = sum_counts(plan.done for plan in first_plans)
    for _ in range(ROUNDS):
        # Each round processes only posts that have no row yet, in memory bounded by a bucket.
        reported = _extract(spec, plans, watch, total) if pending_posts else 0
        if pending_posts or features.needs_compaction(log2_buckets):
            counts = map_buckets(partial(_compact_bucket, features, log2_buckets), log2_buckets)
            summary.set_counts(sum_counts(counts) - done)
        # As many reports as pending posts: nothing was dropped, and another look at all buckets is spared.
        plans = _plan(spec, features) if reported < pending_posts else []
        pending_posts = sum(plan.pending for plan in plans)
        if not pending_posts:
            break
    else:
        raise ViralError(f"{pending_posts} posts have no row after {ROUNDS} rounds: run the same command again")
    if total:
        watch.progress(total, total)
    summary.warnings += summary.next_steps(done)
    # Last: until all buckets are merged, the files of fewer buckets still hold their rows.
    features.drop_superseded(log2_buckets)


def _plan(spec: BackfillSpec, features: BucketedTable) -> list[BucketPlan]:
    return list(map_buckets(partial(_plan_bucket, spec, posts_table(spec.store), features), spec.log2_buckets))


def _missing_weights(feature_set: FeatureSet) -> dict[str, str]:
    """Return the error of each optional extractor without weights. Raises WeightsError for a required one."""
    missing = feature_set.unavailable()
    for entry in feature_set.entries:
        if entry.spec.name in missing and not entry.optional:
            raise WeightsError(missing[entry.spec.name])
    return missing


def _extract(spec: BackfillSpec, plans: Sequence[BucketPlan], watch: _Watch, total: int) -> int:
    """Process the pending posts. Return how many were reported; a worker that dies may not report all it wrote."""
    queue, pending_posts = QueueGauge(spec.feature_set.name), sum(plan.pending for plan in plans)
    summary, done_before, reported = watch.summary, total - pending_posts, 0
    watch.progress(done_before, total)
    started = time.monotonic()
    for reported, report in enumerate(_process(spec, plans, pending_posts, summary), start=1):
        summary.start_seconds = summary.start_seconds or time.monotonic() - started
        for stage, seconds in report.seconds.items():
            summary.stage_seconds[stage] = summary.stage_seconds.get(stage, 0.0) + seconds
        watch.profile.add(report)
        queue.set(max(0, pending_posts - reported))
        watch.progress(min(done_before + reported, total), total)
    queue.set(0)
    return reported


def _process(
    spec: BackfillSpec, plans: Sequence[BucketPlan], pending_posts: int, summary: BackfillSummary
) -> Iterator[PostReport]:
    """Process the pending posts, in this process if they are few; yield a report of each."""
    if runs_here(spec, pending_posts):
        return extract_here(spec, split_into_chunks(plans, 1))
    chunks = split_into_chunks(plans, num_workers(spec))
    summary.cores, summary.gpus = min(num_workers(spec), len(chunks)), num_gpus()
    return iter_objects(reports(spec, chunks))


def _plan_bucket(spec: BackfillSpec, posts: BucketedTable, features: BucketedTable, bucket: int) -> BucketPlan:
    # Narrow columns: planning reads little, whatever the size of the vectors.
    rows = posts.read(spec.log2_buckets, bucket, CHUNK_COLUMNS)
    waiting = pending(rows, features, spec.log2_buckets, bucket, spec.retry)
    done = _count_rows(features, spec.log2_buckets, bucket, without=waiting["post_id"])
    return BucketPlan(bucket, rows.num_rows, done, count_lengths(waiting))


def _compact_bucket(features: BucketedTable, log2_buckets: int, bucket: int) -> StatusCounts:
    """Merge the files of a bucket where worthwhile, and count its rows."""
    features.compact(log2_buckets, bucket)
    return _count_rows(features, log2_buckets, bucket)


def _count_rows(
    features: BucketedTable, log2_buckets: int, bucket: int, without: pa.ChunkedArray | None = None
) -> StatusCounts:
    """Count the rows of a bucket by status and reason, leaving out those of the posts in `without`."""
    rows = features.read(log2_buckets, bucket, ["post_id", "status", "reason"])
    if without is not None:
        rows = rows.filter(pc.invert(pc.is_in(rows["post_id"], without.combine_chunks())))
    counted = rows.group_by(["status", "reason"]).aggregate([([], "count_all")])
    return Counter({(row["status"], row["reason"]): row["count_all"] for row in counted.to_pylist()})


@click.command()
@feature_set_options
@click.option("--retry-failed", is_flag=True, help="Process failed posts again, as a new attempt.")
@click.option("--reason", "reasons", multiple=True, help="With --retry-failed: only posts that failed for this reason.")
@click.option("--quarantined", is_flag=True, help="With --retry-failed: also posts that killed the decoder twice.")
@click.option("--shape", type=click.Choice(["auto", "fused", "two-stage"]), help="Override the setting backfill.shape.")
@click.option(
    "--profile",
    "profile_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write seconds and bytes by node and stage, and how busy the cores were, to this file as JSON.",
)
@ray_options
@root_options
def command(
    feature_set: str,
    weights: str | None,
    retry_failed: bool,
    reasons: tuple[str, ...],
    quarantined: bool,
    shape: Literal["auto", "fused", "two-stage"] | None,
    profile_file: Path | None,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Extract features from the videos of all posts. A post that cannot be processed gets a row with the reason."""
    if (reasons or quarantined) and not retry_failed:
        raise ConfigError("--reason and --quarantined select the failed posts to retry: add --retry-failed")
    retry = Retry(datetime.now(UTC), reasons, quarantined) if retry_failed else None
    store, settings = Store.open(root), load()
    resolved_set = resolve_feature_set(feature_set, weights, store)
    if shape:
        settings = settings.model_copy(update={"backfill": settings.backfill.model_copy(update={"shape": shape})})
    bar, profile = progress_bar("backfill"), Profile()

    if profile_file is not None and not profile_file.absolute().parent.is_dir():
        raise ConfigError(f"cannot write the profile to {profile_file}: there is no such folder")
    fill = partial(run, store, resolved_set, settings, retry=retry, profile=profile, address=address, debug=debug)
    summary = record_run(store, "backfill", lambda record: fill(progress=record.progress_with(bar)))
    print_summary(summary, as_json=as_json)
    if profile_file is not None:
        profile.write(profile_file, summary)
    if summary.failed and not summary.ok + summary.partial:
        raise all_failed(summary.failed, "posts failed", summary.reasons)


if __name__ == "__main__":
    execute(command)
