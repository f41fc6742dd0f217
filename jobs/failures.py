"""The posts that failed, listed and counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click
import pyarrow as pa
import pyarrow.compute as pc

from jobs.runtime.options import chosen_set, feature_set_options
from viral.console.commands import execute
from viral.console.options import common
from viral.console.output import say
from viral.errors import TableError, reasons
from viral.extractors.feature_set import FeatureSet
from viral.features.attempts import quarantined
from viral.features.feature_table import features_table
from viral.storage.store import Store
from viral.tables.bucketed import bits_for
from viral.tables.latest import newest_of

_COLUMNS = ["post_id", "attempt", "status", "reason", "detail", "finished_at"]


@dataclass
class FailuresSummary:
    """How many posts failed or are partial, by reason."""

    table: str
    posts: int = 0
    failed: int = 0
    partial: int = 0
    quarantined: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def listed(store: Store, feature_set: FeatureSet, *, partial: bool = False) -> Iterator[dict[str, Any]]:
    """The newest attempt of each post that failed (with `partial` also of those that are partial), bucket by bucket."""
    for versions in _versions(store, feature_set):
        newest, held = newest_of(versions, "post_id", "attempt"), set(quarantined(versions).to_pylist())
        wanted = ["failed", "partial"] if partial else ["failed"]
        for row in newest.filter(pc.is_in(newest["status"], pa.array(wanted))).to_pylist():
            yield {**row, "quarantined": row["post_id"] in held}


def summarise(store: Store, feature_set: FeatureSet) -> FailuresSummary:
    """The counts.

    Raises:
        TableError: there is no such table.
    """
    summary, found = FailuresSummary(feature_set.table), Counter[str]()
    for versions in _versions(store, feature_set):
        newest = newest_of(versions, "post_id", "attempt")
        summary.posts += newest.num_rows
        statuses = Counter(newest["status"].to_pylist())
        summary.failed += statuses["failed"]
        summary.partial += statuses["partial"]
        failed = newest.filter(pc.equal(newest["status"], "failed"))
        summary.quarantined += pc.sum(pc.is_in(failed["post_id"], quarantined(versions))).as_py() or 0
        found.update(reason for reason in newest["reason"].to_pylist() if reason)
    summary.reasons = dict(found.most_common())
    return summary


def _versions(store: Store, feature_set: FeatureSet) -> Iterator[pa.Table]:
    """All attempts, bucket by bucket."""
    features = features_table(store, feature_set)
    rows = sum(part.rows for part in features.parts())
    if not rows:
        raise TableError(f"the table {feature_set.table} of {store.root} is empty: backfill first (viral backfill)")
    bits = bits_for(rows)
    for bucket in range(1 << bits):
        yield features.versions(bits, bucket, _COLUMNS)


@click.command()
@feature_set_options
@click.option("--reason", "only", multiple=True, type=click.Choice(sorted(reasons())), help="List these only.")
@click.option("--partial", is_flag=True, help="List partial posts too.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(0), help="Of the list; with --json, none.")
@common
def command(
    feature_set: str,
    weights: str | None,
    only: tuple[str, ...],
    partial: bool,
    limit: int,
    root: str,
    as_json: bool,
    debug: bool,
) -> None:
    """Count the posts that failed, by reason, and list them; --json lists all of them, a line each."""
    del debug  # of all commands; this one has nothing more to show
    store = Store.open(root)
    chosen = chosen_set(feature_set, weights, store)
    rows = (row for row in listed(store, chosen, partial=partial) if not only or row["reason"] in only)
    if as_json:
        for row in rows:
            click.echo(json.dumps({**row, "finished_at": row["finished_at"].isoformat()}))
        return
    say(summarise(store, chosen), as_json=False)
    for _, row in zip(range(limit), rows, strict=False):
        mark = " [quarantined]" if row["quarantined"] else ""
        click.echo(f"{row['post_id']}  attempt {row['attempt']}  {row['reason']}{mark}  {row['detail'] or ''}")


if __name__ == "__main__":
    execute(command)
