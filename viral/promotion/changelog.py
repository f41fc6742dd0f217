"""Why a model was trained anew, and what came of it: one JSON beside the new version."""

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
    """What a version learnt from.

    Attributes:
        model: name and version.
        table: its label table.
        rows: posts of the training split.
        first: when the first of them went up, ISO 8601, UTC; None where no time is known.
        last: when the last did.
        constants: those of the label.
        data_hash: of labels and vectors.
        code_version: of viral.
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
    """A refit.

    Attributes:
        when: ISO 8601, UTC.
        since: the first day of the posts that the version before was looked at on.
        why: the alarms, as sentences; none: it was asked for all the same.
        before: what the version before had learnt from.
        after: what the new one has.
        compared: the new version against the one before, on the new test posts that neither has learnt from; None
            where there are none.
        notes: what its reader must know.
    """

    when: str
    since: str
    why: list[str]
    before: TrainingSnapshot
    after: TrainingSnapshot
    compared: Comparison | None = None
    notes: list[str] = field(default_factory=list)


def save_changelog(store: Store, name: str, version: int, made: Changelog) -> None:
    """Write it beside the new version."""
    store.write(Registry.key(name, version, FILE), json.dumps(asdict(made), indent=1).encode())


def load_changelog(store: Store, name: str, version: int) -> Changelog | None:
    """That of a version; None where it was not made by a refit."""
    written = read_json(store, Registry.key(name, version, FILE))
    if written is None:
        return None
    learnt = {each: TrainingSnapshot(**written[each]) for each in ("before", "after")}
    found = written["compared"]
    return Changelog(**written | learnt | {"compared": _comparison(found) if found else None})


def _comparison(written: dict[str, Any]) -> Comparison:
    pairs = {
        name: MetricPair(**pair | {"difference": Estimate(**pair["difference"])})
        for name, pair in written["figures"].items()
    }
    return Comparison(**written | {"figures": pairs})


def changelog_lines(made: Changelog) -> Iterator[str]:
    """For people."""
    yield f"{made.when}: {made.before.model} was trained anew, looked at on posts since {made.since}"
    yield from made.why or ["no alarm: asked for all the same"]
    for learnt in (made.before, made.after):
        between = f"{str(learnt.first)[:10]} to {str(learnt.last)[:10]}" if learnt.first else "of unknown times"
        yield f"{learnt.model} learnt from {learnt.rows} posts {between} (labels/{learnt.table}, {learnt.data_hash})"
    if made.before.constants != made.after.constants:
        yield f"constants of the label: {json.dumps(made.before.constants)} → {json.dumps(made.after.constants)}"
    if made.compared:
        yield (
            f"{made.after.model} against {made.before.model}, on {made.compared.posts} new test posts by "
            f"{made.compared.authors} authors that neither has learnt from"
        )
        for name, pair in made.compared.figures.items():
            gap = pair.difference
            ends = "" if gap.low is None else f" ({gap.low:+.4f} to {gap.high:+.4f})"
            yield f"{name} {'undefined' if gap.value is None else format(gap.value, '+.4f')}{ends}"
    yield from made.notes
