"""Changelog of a refit: why a model was trained again, and the result; stored as JSON with the new version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.model_comparison import Comparison, MetricPair
from viral.registry.registry import Registry
from viral.storage.store import Store, read_json

FILE = "changelog.json"


@dataclass(frozen=True)
class TrainingSnapshot:
    """Training data of a version: the label table with the label's constants, and `rows` training posts.

    `first` and `last` are the posting times of the oldest and newest of them in ISO 8601, UTC; None if unknown.
    `data_hash` covers labels and vectors; `code_version` is the version of viral.
    """

    model: str
    table: str
    rows: int
    first: str | None
    last: str | None
    constants: dict[str, Any]
    data_hash: str
    code_version: str


@dataclass(frozen=True)
class Changelog:
    """Changelog of a refit.

    Attributes:
        when: time in ISO 8601, UTC.
        since: first day of the posts on which drift was measured.
        why: alarms, as sentences; empty for a refit without alarm.
        before: data of the previous version.
        after: data of the new version.
        compared: both versions on test posts that neither was trained on; None without such posts.
        notes: remarks for the reader.
    """

    when: str
    since: str
    why: list[str]
    before: TrainingSnapshot
    after: TrainingSnapshot
    compared: Comparison | None = None
    notes: list[str] = field(default_factory=list)


def save_changelog(store: Store, name: str, version: int, changelog: Changelog) -> None:
    """Write the changelog of a version."""
    store.write(Registry.key(name, version, FILE), json.dumps(asdict(changelog), indent=1).encode())


def load_changelog(store: Store, name: str, version: int) -> Changelog | None:
    """Read the changelog of a version; None if it is not from a refit."""
    stored = read_json(store, Registry.key(name, version, FILE))
    if stored is None:
        return None
    # Before and after were stored as plain objects.
    snapshots = {name: TrainingSnapshot(**stored[name]) for name in ("before", "after")}
    comparison = _comparison(stored["compared"]) if stored["compared"] else None
    return Changelog(**stored | snapshots | {"compared": comparison})


def _comparison(stored: dict[str, Any]) -> Comparison:
    pairs = {
        name: MetricPair(**pair | {"difference": Estimate(**pair["difference"])})
        for name, pair in stored["figures"].items()
    }
    return Comparison(**stored | {"figures": pairs})


def changelog_lines(changelog: Changelog) -> Iterator[str]:
    """Format as lines of text."""
    before, after, compared = changelog.before, changelog.after, changelog.compared
    yield f"{changelog.when}: {before.model} was trained again; drift was measured on posts since {changelog.since}"
    yield from changelog.why or ["no alarm: the refit was requested"]
    for data in (before, after):
        period = f"{str(data.first)[:10]} to {str(data.last)[:10]}" if data.first else "of unknown times"
        yield f"{data.model} was trained on {data.rows} posts {period} (labels/{data.table}, {data.data_hash})"
    # Other constants mean another threshold for viral, so the figures of the two are not of quite the same label.
    if before.constants != after.constants:
        yield f"constants of the label: {json.dumps(before.constants)} → {json.dumps(after.constants)}"
    if compared:
        yield (
            f"{after.model} against {before.model}, on {compared.posts} new test posts by {compared.authors} authors "
            "that neither was trained on"
        )
        for name, pair in compared.figures.items():
            gain = pair.difference
            interval = "" if gain.low is None else f" ({gain.low:+.4f} to {gain.high:+.4f})"
            yield f"{name} {'undefined' if gain.value is None else format(gain.value, '+.4f')}{interval}"
    yield from changelog.notes
