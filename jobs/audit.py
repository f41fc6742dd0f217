"""A saved model and its labels → whether anything leaks; before a model is judged, and on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluating.audit_reading import Read, read
from jobs.label import COLUMNS
from jobs.runtime.session import session
from jobs.training.labelled import labelled_features, video_counts
from viral.console.commands import execute
from viral.console.options import common, on_ray
from viral.console.output import say
from viral.datasets.labelled_features import LabelledFeatures, Statistics
from viral.datasets.labelled_videos import LabelledVideos
from viral.datasets.streams import Stream, from_dict, streams_of
from viral.errors import TableError
from viral.evaluation.audit import CHECKS, Evidence, LabelFit, Learnt, audit, learnt_of, needs_posts, refitted, refuse
from viral.explain.neighbours import nearest
from viral.extractors.feature_set import FeatureSet
from viral.extractors.popularity import Popularity
from viral.registry.registry import Registry, Saved
from viral.scoring.reference import Reference
from viral.scoring.scorer import feature_set_of
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.bucketed import Parts
from viral.tables.places import labels_prefix, posts_table
from viral.tables.run_log import recorded
from viral.tables.schemas import LABELS, SECONDS

EARLY_SIGNAL = "early-signal"
"""What is in the name of a model that is meant to look at counts of a post's first hours."""
PAIRS = 250
"""Neighbours of test posts whose times are looked at."""
_PAIR = pa.schema(
    {"post_id": pa.string(), "posted_at": SECONDS, "neighbour_id": pa.string(), "neighbour_posted_at": SECONDS}
)


@dataclass
class AuditSummary:
    """What was checked of which posts, and what could not be."""

    model: str
    posts: int
    sampled: int
    checks: list[str] = field(default_factory=lambda: list(CHECKS))
    unchecked: list[str] = field(default_factory=list)


def run(store: Store, model: str, *, address: str | None = None, debug: bool = False) -> AuditSummary:
    """Audit a model by the labels that it was trained on.

    Raises:
        LeakError: something leaks. TableError: no such model, or its labels were made anew since.
    """
    saved = Registry(store).load(model)
    with session(address, debug=debug):
        return check(store, saved)


def check(store: Store, saved: Saved) -> AuditSummary:
    """Audit a model that is loaded, within a session. Raises as `run` does."""
    evidence, summary = gathered(store, saved)
    refuse(audit(evidence, early_signal=EARLY_SIGNAL in saved.name))
    return summary


def gathered(store: Store, saved: Saved) -> tuple[Evidence, AuditSummary]:
    """All that is looked at. Narrow columns of the labelled posts come to this machine, inputs of a sample alone.

    Raises:
        TableError: a table is missing, or the labels were made anew since.
    """
    label, chosen = saved.card["label"], feature_set_of(saved)
    models = [_Origin.of(store, each, label) for each in learnt_of(saved)]
    sets = [_offered(chosen, each) for each in models]
    streams = from_dict(saved.card["config"]["streams"])
    data, about = labelled_features(store, chosen, label["name"], tuple(dict.fromkeys(sum(sets, streams))))
    if about != label:
        raise TableError(f"labels/{label['name']} was made anew since {saved} was trained: train again on it")
    found = read(data, posts_table(store), streams, sets, _popularity(chosen, streams))
    notes = [*(note for each in models for note in each.notes), *_blind(found, saved)]
    kept = Reference.load(store, saved.place)
    evidence = Evidence(
        streams=streams,
        kind=label["split"]["kind"],
        gap_days=label["split"]["gap_days"],
        rows=found.rows,
        sample=found.sample,
        sounds=found.sounds,
        fitted=tuple(_fitted(store, data, each, found.statistics[at], notes) for at, each in enumerate(models)),
        label=_label(store, data.labels, label["fitted"], notes),
        known=pa.concat_arrays([pa.array([], pa.string()), *(each.known for each in models)]),
        reference=kept.rows if kept else None,
        neighbours=_neighbours(kept, streams, found) if kept else None,
    )
    summary = AuditSummary(str(saved), found.rows.num_rows, found.sample.rows.num_rows)
    summary.unchecked += dict.fromkeys(notes)
    return evidence, summary


@dataclass(frozen=True)
class _Origin:
    """A model, the card of the one that its statistics come from, and what that and those between have learnt from.

    `card` is None where that is gone; `known` are the posts of other training splits.
    """

    learnt: Learnt
    card: dict[str, Any] | None
    known: pa.Array
    notes: tuple[str, ...]

    @classmethod
    def of(cls, store: Store, learnt: Learnt, label: dict[str, Any]) -> _Origin:
        made = cls(learnt, dict(learnt.card), pa.array([], pa.string()), ())
        while made.card and (before := made.card.get("continued_from")):
            made = made._before(store, before, label)
        return made

    def _before(self, store: Store, model: str, label: dict[str, Any]) -> _Origin:
        try:
            card = Registry(store).load(model).card
        except TableError:
            return self._blind(None, f"what {model} had learnt from: it is gone")
        if card["label"] == label:
            return replace(self, card=card)
        name = card["label"]["name"]
        try:
            labels, about = replaced.current(store, labels_prefix(name), LABELS)
        except TableError:
            about = None
        if about != card["label"]:
            return self._blind(card, f"what {model} had learnt from: its labels/{name} are others now")
        rows = pa.concat_tables(labels.scan(["post_id", "split"]))
        learnt = rows["post_id"].filter(pc.equal(rows["split"], "train")).combine_chunks()
        return replace(self, card=card, known=pa.concat_arrays([self.known, learnt]))

    def _blind(self, card: dict[str, Any] | None, note: str) -> _Origin:
        return replace(self, card=card, notes=(*self.notes, note))


def _offered(chosen: FeatureSet, origin: _Origin) -> tuple[Stream, ...]:
    """What a model was trained on, and what it could have been: the hash of its data is of both."""
    learnt = origin.learnt
    absent = tuple(stream for stream in streams_of(chosen) if stream.name in learnt.absent)
    return (*learnt.streams, *absent)


def _fitted(
    store: Store, data: LabelledFeatures, origin: _Origin, now: Statistics, notes: list[str]
) -> tuple[Learnt, Statistics | None]:
    """A model with the statistics of its training posts, if those are the same as when it was trained."""
    learnt = origin.learnt
    if "backbone" in learnt.card:
        counts = video_counts(LabelledVideos(posts_table(store), data.labels))
        now = Statistics(sum(counts.posts["train"]), counts.moments, counts.digest)
    if origin.card is None or now.data_hash != origin.card["data_hash"]:
        notes.append(f"means and scales in {learnt.name}: features or labels have changed since; train again to know")
        return learnt, None
    return learnt, now


def _label(store: Store, labels: Parts, stored: dict[str, Any], notes: list[str]) -> LabelFit | None:
    """The label fitted again; as `viral label` does, with narrow columns of all posts where it needs them."""
    posts = pa.concat_tables(posts_table(store).scan(COLUMNS)).combine_chunks() if needs_posts(stored) else None
    fitted = refitted(stored, pa.concat_tables(labels.scan(["post_id", "split", "target"])), posts)
    if fitted is None:
        notes.append("constants of the label: the posts have changed since; label again to know")
    return fitted


def _neighbours(reference: Reference, streams: Sequence[Stream], found: Read) -> pa.Table | None:
    """What an explanation would show beside some of the test posts, with the times that the labels have of both."""
    times = dict(zip(found.rows["post_id"].to_pylist(), found.rows["posted_at"].to_pylist(), strict=True))
    pairs: list[dict[str, Any]] = []
    for at, post in enumerate(found.sample.rows.select(["post_id", "author_id", "posted_at", "split"]).to_pylist()):
        if post["split"] != "test" or post["posted_at"] is None or len(pairs) >= PAIRS:
            continue
        one = found.sample.batch.take(np.array([at]))
        for each in nearest(reference, streams, one, author_id=post["author_id"], before=post["posted_at"]).posts:
            compared = {"neighbour_id": each.post_id, "neighbour_posted_at": times.get(each.post_id)}
            pairs.append({"post_id": post["post_id"], "posted_at": post["posted_at"], **compared})
    return pa.Table.from_pylist(pairs, schema=_PAIR) if pairs else None


def _popularity(chosen: FeatureSet, streams: Sequence[Stream]) -> str | None:
    """The input that tells how often a sound was used before."""
    names = [spec.name for spec in chosen.specs if spec.registered == Popularity.name]
    return next((stream.name for stream in streams if stream.name in names), None)


def _blind(found: Read, saved: Saved) -> list[str]:
    """What cannot be seen, or is not looked for."""
    notes = []
    if found.rows["sha256"].null_count == found.rows.num_rows:
        notes.append("the same video on both sides: the feature table has no hash of any file")
    if EARLY_SIGNAL in saved.name:
        notes.append(f"counts among the inputs: {saved.name} says that it is meant to look at early ones")
    return notes


@click.command()
@click.option("--model", default="fusion", show_default=True, help="NAME or NAME/VERSION.")
@on_ray
@common
def command(model: str, root: str, address: str | None, as_json: bool, debug: bool) -> None:
    """Look for leaks between what a model learnt from and what it is judged by; `viral evaluate` does so first."""
    store = Store.open(root)
    work = partial(run, store, model, address=address, debug=debug)
    say(recorded(store, "audit", lambda _: work()), as_json=as_json)


if __name__ == "__main__":
    execute(command)
