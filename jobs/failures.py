"""The `viral failures` command: counts and lists the posts that failed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click
import pyarrow as pa
import pyarrow.compute as pc

from jobs.runtime.options import feature_set_options, resolve_feature_set
from viral.console.commands import execute
from viral.console.options import root_options
from viral.console.output import print_summary
from viral.errors import reasons
from viral.extractors.feature_set import FeatureSet
from viral.features.attempts import quarantined
from viral.features.feature_table import features_table, missing_table_error
from viral.storage.store import Store
from viral.tables.bucketed import log2_buckets_for
from viral.tables.latest import latest_per_key

_COLUMNS = ["post_id", "attempt", "status", "reason", "detail", "finished_at"]


@dataclass
class FailuresSummary:
    """Counts of failed and partial posts, in total and by reason."""

    table: str
    posts: int = 0
    failed: int = 0
    partial: int = 0
    quarantined: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def iter_failures(store: Store, feature_set: FeatureSet, *, partial: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the newest attempt at each failed post; with `partial`, also at each partial post."""
    statuses = pa.array(["failed", "partial"] if partial else ["failed"])
    for attempts in _attempts(store, feature_set):
        # Quarantine counts all attempts of a post; the listing shows only the newest.
        newest, quarantine = latest_per_key(attempts, "post_id", "attempt"), set(quarantined(attempts).to_pylist())
        for row in newest.filter(pc.is_in(newest["status"], statuses)).to_pylist():
            yield {**row, "quarantined": row["post_id"] in quarantine}


def summarise(store: Store, feature_set: FeatureSet) -> FailuresSummary:
    """Count failed and partial posts.

    Raises:
        TableError: the feature table is empty.
    """
    summary, counts = FailuresSummary(feature_set.table), Counter[str]()
    for attempts in _attempts(store, feature_set):
        newest = latest_per_key(attempts, "post_id", "attempt")
        summary.posts += newest.num_rows
        statuses = Counter(newest["status"].to_pylist())
        summary.failed += statuses["failed"]
        summary.partial += statuses["partial"]
        failed = newest.filter(pc.equal(newest["status"], "failed"))
        summary.quarantined += pc.sum(pc.is_in(failed["post_id"], quarantined(attempts))).as_py() or 0
        counts.update(reason for reason in newest["reason"].to_pylist() if reason)
    summary.reasons = dict(counts.most_common())
    return summary


def _attempts(store: Store, feature_set: FeatureSet) -> Iterator[pa.Table]:
    """Yield all attempts, one table per bucket."""
    features = features_table(store, feature_set)
    rows = features.stored_rows()
    if not rows:
        raise missing_table_error(store, feature_set)
    log2_buckets = log2_buckets_for(rows)
    for bucket in range(1 << log2_buckets):
        yield features.versions(log2_buckets, bucket, _COLUMNS)


@click.command()
@feature_set_options
@click.option(
    "--reason", "only_reasons", multiple=True, type=click.Choice(sorted(reasons())), help="List only these reasons."
)
@click.option("--partial", is_flag=True, help="List partial posts too.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(0), help="Posts to list; --json lists all.")
@root_options
def command(
    feature_set: str,
    weights: str | None,
    only_reasons: tuple[str, ...],
    partial: bool,
    limit: int,
    root: str,
    as_json: bool,
    debug: bool,
) -> None:
    """Count the failed posts by reason and list them; --json prints all of them, one per line."""
    del debug  # every command has this option; here it has no effect
    store = Store.open(root)
    resolved_set = resolve_feature_set(feature_set, weights, store)
    failures = iter_failures(store, resolved_set, partial=partial)
    rows = (row for row in failures if not only_reasons or row["reason"] in only_reasons)
    if as_json:
        for row in rows:
            click.echo(json.dumps({**row, "finished_at": row["finished_at"].isoformat()}))
        return
    print_summary(summarise(store, resolved_set), as_json=False)
    # `range` first: with it exhausted, no further row is read.
    for _, row in zip(range(limit), rows, strict=False):
        mark = " [quarantined]" if row["quarantined"] else ""
        click.echo(f"{row['post_id']}  attempt {row['attempt']}  {row['reason']}{mark}  {row['detail'] or ''}")


if __name__ == "__main__":
    execute(command)
