"""A model on the posts that came after it was made → its figures over time, alarms, one JSON and one HTML page."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

import viral
from jobs.evaluating.hashes import hashes_of
from jobs.evaluating.rows import MAX_POSTS, with_predictions
from jobs.label import all_posts, label_rows
from jobs.runtime.buckets import over_buckets
from jobs.runtime.session import session
from jobs.scoring.loaded import loaded_scorer
from jobs.training.labelled import labelled_features
from viral.datasets.labelled_features import LabelledFeatures
from viral.errors import TableError
from viral.evaluation import scorecard
from viral.evaluation.drift.alarms import Limits
from viral.evaluation.drift.drift import Drift, Outcomes, Window, drift
from viral.evaluation.drift.page import DriftReport
from viral.evaluation.duplicates import later_copies
from viral.evaluation.splits import author_codes
from viral.labels import FittedLabel
from viral.models.ensemble.rows import sampled
from viral.registry.registry import Registry, Saved
from viral.scoring.scorer import Scorer
from viral.storage.store import Store
from viral.tables.bucketed import Parts, bits_for
from viral.tables.schemas import LABELS, SECONDS, SYNTHETIC

DRIFT = "drift"
SHOWN = ("predicted", "happened", "ece", "coverage", "roc_auc", "residual", "unknown")
_DAY_MICROS = 86_400_000_000
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Watch:
    """Which posts a model is looked at on, and what raises an alarm.

    Attributes:
        since: posts from then on, UTC.
        every: days of a window.
        limits: of the alarms.
        resamples: of the bootstrap.
    """

    since: datetime
    every: float = 7
    limits: Limits = field(default_factory=Limits)
    resamples: int = 200


@dataclass
class DriftSummary:
    """What became of the model since then: a line for each window and for all posts, and the alarms as sentences.

    `left_out` says how many posts since then cannot tell anything of it, by reason.
    """

    model: str
    html: str
    json: str
    posts: int
    left_out: dict[str, int] = field(default_factory=dict)
    windows: dict[str, str] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run(store: Store, model: str, watch: Watch, *, address: str | None = None, debug: bool = False) -> DriftSummary:
    """Judge a model by its own label on the posts since then that it has not learnt from.

    Raises:
        TableError: no such model, its labels were made anew since, or no post since then tells anything.
    """
    saved = Registry(store).load(model)
    later, left_out = later_posts(store, saved, watch.since)
    rows = later
    if later.num_rows:
        with session(address, debug=debug):
            rows = _said(store, saved, later)
    left_out["without features"] = later.num_rows - rows.num_rows
    if not rows.num_rows:
        told = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count) or "there is none"
        raise TableError(f"no post since {watch.since:%Y-%m-%d} tells anything of {saved}: {told}")
    reference = scorecard.figures(store, saved.name, saved.version).get("roc_auc")
    found = drift(outcomes_of(rows), watch.limits, every=watch.every, reference=reference, resamples=watch.resamples)
    report = DriftReport(
        model=str(saved),
        since=watch.since.date().isoformat(),
        every=watch.every,
        limits=watch.limits,
        reference=reference.value if reference else None,
        left_out={reason: count for reason, count in left_out.items() if count},
        synthetic=SYNTHETIC in saved.card["sources"],
        code_version=viral.__version__,
        drift=found,
        notes=_notes(saved, found, reference is not None),
    )
    place = Registry.key(saved.name, saved.version, DRIFT)
    store.write(f"{place}.json", report.to_json().encode())
    store.write(f"{place}.html", report.to_html().encode())
    return DriftSummary(
        model=report.model,
        html=store.uri(f"{place}.html"),
        json=store.uri(f"{place}.json"),
        posts=found.whole.posts,
        left_out=report.left_out,
        windows={window.days: _line(window) for window in found.windows} | {"all": _line(found.whole)},
        alarms=[alarm.sentence for alarm in found.alarms],
        notes=list(report.notes),
    )


def later_posts(store: Store, saved: Saved, since: datetime) -> tuple[pa.Table, dict[str, int]]:
    """The posts since then that can tell something of a model, as rows of `LABELS`, and why others cannot.

    Their outcome is by the model's own label, with the constants that it learnt when the model was made.
    """
    posts, label = all_posts(store), saved.card["label"]
    labelled = FittedLabel.from_dict(label["fitted"]).apply(posts)
    days = label["split"]["gap_days"]
    reasons: dict[str, Mask] = {
        "learnt from": np.asarray(pc.is_in(posts["post_id"], learnt_from(store, saved))),
        "copies of an earlier post": later_copies(posts.append_column("sha256", hashes_of(store, posts["post_id"]))),
        f"with counts from before {days:g} days": too_young(posts, days),
        "without what the label needs": ~labelled.mask,
    }
    left: Mask = np.asarray(pc.fill_null(pc.greater_equal(posts["posted_at"], pa.scalar(since, SECONDS)), False))
    left_out = {}
    for reason, mask in reasons.items():
        left_out[reason] = int((left & mask).sum())
        left = left & ~mask
    rows = label_rows(posts.filter(pa.array(labelled.mask)), np.full(int(labelled.mask.sum()), "test"), labelled)
    return rows.filter(pa.array(left[labelled.mask])), left_out


def learnt_from(store: Store, saved: Saved) -> pa.Array:
    """The posts of a model's training and validation splits.

    Raises:
        TableError: its labels were made anew since it was trained, so that nobody knows.
    """
    scorer, name = Scorer(saved, raw=True), saved.card["label"]["name"]
    data, about = labelled_features(store, scorer.feature_set, name, scorer.streams)
    if about != saved.card["label"]:
        raise TableError(f"labels/{name} was made anew since {saved} was trained: train again, or label as before")
    used = pa.array(["train", "validation"])
    parts = [rows.filter(pc.is_in(rows["split"], used))["post_id"] for rows in data.labels.scan(["post_id", "split"])]
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.string()).combine_chunks()


def too_young(posts: pa.Table, days: float) -> Mask:
    """Which posts, (rows,), had less than so many days when their counts were read, or nobody knows how many."""
    if not days:
        return np.zeros(posts.num_rows, bool)
    age = pc.subtract(posts["scraped_at"].cast(pa.int64()), posts["posted_at"].cast(pa.int64()))
    return np.asarray(pc.fill_null(pc.less(age, round(days * _DAY_MICROS)), True))


def _said(store: Store, saved: Saved, later: pa.Table) -> pa.Table:
    """What a model says of those of the posts that have features; of very many, of a sample."""
    share = MAX_POSTS / max(1, later.num_rows)
    if share < 1:
        later = later.filter(pa.array([sampled(post, share) for post in later["post_id"].to_pylist()]))
    place = f"runs/{DRIFT}-{uuid.uuid4().hex[:12]}"
    parts = Parts(store, place, LABELS, key="post_id")
    try:
        parts.append(later, bits_for(later.num_rows))
        return said_of_tested(store, saved, parts)
    finally:
        store.delete_below(place)


def said_of_tested(store: Store, saved: Saved, labels: Parts) -> pa.Table:
    """What a model says of the test posts of a label table, as rows of `LABELS` with the columns of predictions.

    Call it within a session.
    """
    scorer = Scorer(saved, raw=True)
    data, _ = labelled_features(store, scorer.feature_set, saved.card["label"]["name"], scorer.streams)
    data = replace(data, labels=labels)
    bits = data.bits()
    rows = over_buckets(partial(_bucket, data, str(saved), bits), bits)
    return pa.concat_tables([row["it"] for row in rows], promote_options="default")


def _bucket(data: LabelledFeatures, model: str, bits: int, bucket: int) -> dict[str, Any]:
    rows = data.read(bits, bucket, ("test",))
    scorer = loaded_scorer(data.features.store.root, model)
    return {"it": with_predictions(scorer, rows, rows.select(LABELS.names))}


def outcomes_of(rows: pa.Table) -> Outcomes:
    """The columns that drift is judged by, of posts with predictions."""
    known = rows["known"]
    return Outcomes(
        posted_at=rows["posted_at"].cast(pa.timestamp("us")).to_numpy(),
        authors=author_codes(rows),
        **{name: rows[name].to_numpy() for name in ("probability", "score", "low", "high")},
        known=None if known.null_count else known.to_numpy(),
        y=rows["target"].to_numpy(),
        is_viral=rows["is_viral"].to_numpy(),
    )


def _notes(saved: Saved, found: Drift, evaluated: bool) -> tuple[str, ...]:
    notes = []
    if not found.whole.tells:
        notes.append("too few posts or authors for an alarm: the figures may be far off")
    if not evaluated:
        notes.append(f"no scorecard to compare ROC-AUC with: viral evaluate --model {saved}")
    if "unknown" not in found.whole.figures:
        notes.append("the model cannot tell which posts are unlike its training posts: viral evaluate calibrates it")
    return tuple(notes)


def _line(window: Window) -> str:
    figures = ((name, window.figures[name].value) for name in SHOWN if name in window.figures)
    told = ", ".join(f"{name} {'-' if value is None else format(value, '.3f')}" for name, value in figures)
    return f"{window.posts} posts by {window.authors} authors, {told}"
