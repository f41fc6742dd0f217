"""`viral audit`: check a saved model and its labels for leaks; `viral evaluate` does so first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluating.audit_reading import AUDITED_POSTS, AuditData, read
from jobs.label import COLUMNS
from jobs.runtime.session import session
from jobs.training.labelled import labelled_features, video_counts
from viral.console.commands import execute
from viral.console.options import ray_options, root_options
from viral.console.output import print_summary
from viral.datasets.labelled_features import LabelledFeatures, Statistics
from viral.datasets.labelled_videos import LabelledVideos
from viral.datasets.streams import Stream, dense, from_dict, streams_of
from viral.duplicates.clusters import VIDEO_COLUMNS, count_unhashed
from viral.duplicates.perceptual_hash import hashes_videos
from viral.duplicates.videos import video_columns
from viral.errors import TableError
from viral.evaluation.audit import (
    CHECKS,
    Evidence,
    FittedState,
    LabelFit,
    audit,
    equal_inputs,
    fitted_states,
    raise_on_leaks,
)
from viral.evaluation.audit.refitting import needs_posts, refit_label
from viral.explain.neighbours import nearest
from viral.extractors.feature_set import FeatureSet
from viral.extractors.popularity import Popularity
from viral.registry.registry import ModelVersion, Registry
from viral.scoring.reference import Reference
from viral.scoring.scorer import feature_set_of
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.bucketed import BucketedTable
from viral.tables.places import labels_prefix, posts_table
from viral.tables.run_log import record_run
from viral.tables.schemas import LABELS, TIMESTAMP

EARLY_SIGNAL = "early-signal"  # part of the name of a model that is meant to use the counts of a post's first hours
MAX_REFITTED = 2_000_000  # posts whose label is fitted again, in the driver: 800 bytes each
MAX_PAIRS = 250  # neighbours of test posts whose times are checked; five per post, and each post costs a search
_PAIR = pa.schema(
    {"post_id": pa.string(), "posted_at": TIMESTAMP, "neighbour_id": pa.string(), "neighbour_posted_at": TIMESTAMP}
)


@dataclass
class AuditSummary:
    """Number of posts checked, the checks, and notes on what could not be checked. A leak is an error."""

    model: str
    posts: int
    sampled: int
    result: str = "no leak found"
    checks: list[str] = field(default_factory=lambda: list(CHECKS))
    unchecked: list[str] = field(default_factory=list)


def run(store: Store, model: str, *, address: str | None = None, debug: bool = False) -> AuditSummary:
    """Audit a model with the labels that it was trained on.

    Raises:
        LeakError: there is a leak. TableError: no such model, or its label table was replaced since.
    """
    saved = Registry(store).load(model)
    with session(address, store, debug=debug):
        return check(store, saved)


def check(store: Store, saved: ModelVersion) -> AuditSummary:
    """Audit a loaded model; needs a session. Raises as `run` does."""
    evidence, summary = gather_evidence(store, saved)
    raise_on_leaks(audit(evidence, early_signal=EARLY_SIGNAL in saved.name))
    return summary


def gather_evidence(store: Store, saved: ModelVersion) -> tuple[Evidence, AuditSummary]:
    """Gather the evidence: narrow columns of all labelled posts, and the inputs of a sample.

    Raises:
        TableError: a table is missing, or the label table was replaced since the training.
    """
    label, feature_set = saved.card["label"], feature_set_of(saved)
    # A stacked model has several parts with fitted means and scales; each is checked against its own inputs.
    lineages = [_Lineage.trace(store, state, label) for state in fitted_states(saved)]
    sets = [_offered_streams(feature_set, lineage.state) for lineage in lineages]
    # Identifiers of words are no numbers that could resemble a count, and equal wherever the caption is.
    streams = dense(from_dict(saved.card["config"]["streams"]))
    data, about = labelled_features(store, feature_set, label["name"], tuple(dict.fromkeys(sum(sets, streams))))
    # Compared with other labels than those of the training, a correct model would look leaky.
    if about != label:
        raise TableError(f"labels/{label['name']} was replaced since {saved} was trained: train again on it")
    tables = read(data, posts_table(store), streams, sets, _popularity_input(feature_set, streams))
    rows = _with_videos(store, tables.rows)
    notes = [*(note for lineage in lineages for note in lineage.notes), *_unchecked(rows, data, saved)]
    reference = Reference.load(store, saved.prefix)
    # Then a reference post may be missing from the rows because it was not drawn, which is no leak.
    is_sample = data.labels.stored_rows() > AUDITED_POSTS
    evidence = Evidence(
        streams=streams,
        kind=label["split"]["kind"],
        gap_days=label["split"]["gap_days"],
        rows=rows,
        vector_hashes=tables.vector_hashes,
        sample=tables.sample,
        sounds=tables.sounds,
        fitted=tuple(
            _with_statistics(store, data, lineage, statistics, notes)
            for lineage, statistics in zip(lineages, tables.statistics, strict=True)
        ),
        label=_refit_label(store, data.labels, label["fitted"], notes),
        earlier_training_posts=pa.concat_arrays([pa.array([], pa.string()), *(lineage.posts for lineage in lineages)]),
        reference=_known(reference.rows, tables, is_sample=is_sample) if reference else None,
        neighbours=_neighbour_pairs(reference, streams, tables, is_sample=is_sample) if reference else None,
    )
    summary = AuditSummary(str(saved), tables.rows.num_rows, tables.sample.rows.num_rows)
    # Members of a stack repeat the same notes.
    summary.unchecked += dict.fromkeys([*notes, *equal_inputs.notes(evidence)])
    return evidence, summary


@dataclass(frozen=True)
class _Lineage:
    """A model, and the models that it was continued from.

    `card` is that of the first one, which fitted the means and scales; None if it is gone. `posts` are the training
    posts of models with other labels.
    """

    state: FittedState
    card: dict[str, Any] | None
    posts: pa.Array
    notes: tuple[str, ...]

    @classmethod
    def trace(cls, store: Store, state: FittedState, label: dict[str, Any]) -> _Lineage:
        """Follow `continued_from` from model card to model card."""
        lineage = cls(state, dict(state.card), pa.array([], pa.string()), ())
        while lineage.card and (parent := lineage.card.get("continued_from")):
            lineage = lineage._with_parent(store, parent, label)
        return lineage

    def _with_parent(self, store: Store, model: str, label: dict[str, Any]) -> _Lineage:
        try:
            card = Registry(store).load(model).card
        except TableError:
            return self._with_note(None, f"what {model} had learnt from: it is gone")
        # Same label and split: the parent's training posts are this model's own.
        if card["label"] == label:
            return replace(self, card=card)
        name = card["label"]["name"]
        try:
            labels, about = replaced.open_current(store, labels_prefix(name), LABELS)
        except TableError:
            about = None
        if about != card["label"]:
            return self._with_note(card, f"what {model} had learnt from: its labels/{name} are others now")
        rows = pa.concat_tables(labels.scan(["post_id", "split"]))
        posts = rows["post_id"].filter(pc.equal(rows["split"], "train")).combine_chunks()
        return replace(self, card=card, posts=pa.concat_arrays([self.posts, posts]))

    def _with_note(self, card: dict[str, Any] | None, note: str) -> _Lineage:
        return replace(self, card=card, notes=(*self.notes, note))


def _with_videos(store: Store, rows: pa.Table) -> pa.Table:
    """Fill in hashes of videos from the other feature tables of the root: vectors made elsewhere have none."""
    elsewhere = video_columns(store, rows["post_id"])
    for name in VIDEO_COLUMNS:
        index = rows.column_names.index(name)
        rows = rows.set_column(index, rows.field(name), pc.coalesce(rows[name], elsewhere[name]))
    return rows


def _offered_streams(feature_set: FeatureSet, state: FittedState) -> tuple[Stream, ...]:
    """Streams that a model was offered, with or without values: the hash of its data covers both."""
    absent = tuple(stream for stream in streams_of(feature_set) if stream.name in state.absent)
    return (*state.streams, *absent)


def _with_statistics(
    store: Store, data: LabelledFeatures, lineage: _Lineage, statistics: Statistics, notes: list[str]
) -> tuple[FittedState, Statistics | None]:
    """Pair a model with the statistics of its training posts, if these are unchanged since the training."""
    state = lineage.state
    # A network trained on videos has its means and hash from labels and addresses, not from features.
    if "backbone" in state.card:
        counts = video_counts(LabelledVideos(posts_table(store), data.labels))
        statistics = Statistics(sum(counts.posts["train"]), counts.moments, counts.digest)
    if lineage.card is None or statistics.data_hash != lineage.card["data_hash"]:
        notes.append(f"means and scales in {state.name}: features or labels have changed since; train again to know")
        return state, None
    return state, statistics


def _refit_label(store: Store, labels: BucketedTable, stored: dict[str, Any], notes: list[str]) -> LabelFit | None:
    """Refit the label as `viral label` does, with narrow columns of all posts if it needs them."""
    if needs_posts(stored) and posts_table(store).stored_rows() > MAX_REFITTED:
        notes.append(f"constants of the label: they are not fitted again for more than {MAX_REFITTED} posts")
        return None
    posts = pa.concat_tables(posts_table(store).scan(COLUMNS)).combine_chunks() if needs_posts(stored) else None
    fitted = refit_label(stored, pa.concat_tables(labels.scan(["post_id", "split", "target"])), posts)
    if fitted is None:
        notes.append("constants of the label: the posts have changed since; label again to know")
    return fitted


def _known(posts: pa.Table, tables: AuditData, *, is_sample: bool) -> pa.Table:
    """Of a sample of the label table, keep only the posts in it: nothing is known of the others."""
    ids = tables.rows["post_id"].combine_chunks()
    return posts.filter(pc.is_in(posts["post_id"], ids)) if is_sample else posts


def _neighbour_pairs(
    reference: Reference, streams: Sequence[Stream], tables: AuditData, *, is_sample: bool
) -> pa.Table | None:
    """Pair some test posts with the neighbours that an explanation would show, with the times in the label table."""
    times = dict(zip(tables.rows["post_id"].to_pylist(), tables.rows["posted_at"].to_pylist(), strict=True))
    sample = tables.sample
    pairs: list[dict[str, Any]] = []
    for row, post in enumerate(sample.rows.select(["post_id", "author_id", "posted_at", "split"]).to_pylist()):
        if post["split"] != "test" or post["posted_at"] is None or len(pairs) >= MAX_PAIRS:
            continue
        # One post at a time: author and time, which exclude neighbours, differ from post to post.
        batch = sample.batch.take(np.array([row]))
        # Asked as an explanation asks: only posts by others, posted before. A later neighbour is therefore a leak.
        found = nearest(reference, streams, batch, author_id=post["author_id"], before=post["posted_at"])
        for neighbour in found.posts:
            # Outside the sample, the time of posting is unknown: the pair is no evidence for or against a leak.
            if is_sample and neighbour.post_id not in times:
                continue
            compared = {"neighbour_id": neighbour.post_id, "neighbour_posted_at": times.get(neighbour.post_id)}
            pairs.append({"post_id": post["post_id"], "posted_at": post["posted_at"], **compared})
    return pa.Table.from_pylist(pairs, schema=_PAIR) if pairs else None


def _popularity_input(feature_set: FeatureSet, streams: Sequence[Stream]) -> str | None:
    """Name of the input that counts earlier uses of a sound."""
    names = [spec.name for spec in feature_set.specs if spec.registry_name == Popularity.name]
    return next((stream.name for stream in streams if stream.name in names), None)


def _unchecked(rows: pa.Table, data: LabelledFeatures, saved: ModelVersion) -> list[str]:
    """Describe the checks that are impossible or skipped."""
    notes = []
    if (labelled := data.labels.stored_rows()) > AUDITED_POSTS:
        notes.append(
            f"{rows.num_rows} of {labelled} posts are compared between the splits: all of some authors, videos "
            "and sounds"
        )
    if rows["sha256"].null_count == rows.num_rows:
        notes.append("the same video on both sides: the feature table has no hash of any file")
    elif hashes_videos(feature_set_of(saved).requests) and (unhashed := count_unhashed(rows)):
        notes.append(f"near-duplicates of {unhashed} posts: their videos have no perceptual hash (viral duplicates)")
    if EARLY_SIGNAL in saved.name:
        notes.append(f"counts among the inputs: {saved.name} says that it is meant to look at early ones")
    return notes


@click.command()
@click.option("--model", default="fusion", show_default=True, help="NAME, NAME/VERSION or NAME@champion.")
@ray_options
@root_options
def command(model: str, root: str, address: str | None, as_json: bool, debug: bool) -> None:
    """Look for leaks between a model's training data and its test posts; `viral evaluate` does so first."""
    store = Store.open(root)
    work = partial(run, store, model, address=address, debug=debug)
    print_summary(record_run(store, "audit", lambda _: work()), as_json=as_json)


if __name__ == "__main__":
    execute(command)
