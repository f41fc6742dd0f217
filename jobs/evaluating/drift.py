"""Evaluate a model on posts newer than its labels: metrics over time, alarms, a JSON and an HTML report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

import viral
from jobs.evaluating.rows import MAX_POSTS, with_predictions
from jobs.label import all_posts, label_rows
from jobs.runtime.buckets import map_buckets
from jobs.runtime.session import session
from jobs.scoring.loaded import loaded_scorer
from jobs.training.labelled import labelled_features, training_data
from viral.datasets.labelled_features import LabelledFeatures
from viral.duplicates.clusters import later_copies
from viral.duplicates.videos import clusters_of
from viral.errors import TableError
from viral.evaluation import scorecard
from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.drift.alarms import AlarmLimits
from viral.evaluation.drift.drift import Drift, DriftWindow, LabelledPredictions, drift
from viral.evaluation.drift.page import DriftReport
from viral.evaluation.labels import Labels
from viral.evaluation.splits import author_codes
from viral.labels import FittedLabel
from viral.models.ensemble.rows import is_sampled
from viral.models.predictions import PredictionBatch
from viral.registry.registry import ModelVersion, Registry
from viral.scoring.scorer import Scorer
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable, log2_buckets_for
from viral.tables.schemas import LABELS, SYNTHETIC, TIMESTAMP
from viral.tables.staging import staging_folder

DRIFT = "drift"
SUMMARY_METRICS = ("predicted", "happened", "ece", "coverage", "roc_auc", "residual", "unknown")
_DAY_MICROS = 86_400_000_000
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class DriftSpec:
    """Posts to evaluate a model on, and the limits of the alarms.

    Attributes:
        since: first posting time, UTC.
        every: days per window.
        limits: of the alarms.
        resamples: bootstrap resamples.
    """

    since: datetime
    every: float = 7
    limits: AlarmLimits = field(default_factory=AlarmLimits)
    resamples: int = 200


@dataclass
class DriftSummary:
    """Metrics per window, a line each, alarms as sentences, and the number of posts left out by reason."""

    model: str
    html: str
    json: str
    posts: int
    left_out: dict[str, int] = field(default_factory=dict)
    windows: dict[str, str] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run(store: Store, model: str, spec: DriftSpec, *, address: str | None = None, debug: bool = False) -> DriftSummary:
    """Evaluate a model by its own label on newer posts that it was not trained on.

    Raises:
        TableError: no such model, its label table was replaced since the training, or there is no post to use.
    """
    saved = Registry(store).load(model)
    newer, left_out = newer_posts(store, saved, spec.since)
    rows = newer
    # Without a newer post, the error below comes at once, not after the start of a session.
    if newer.num_rows:
        with session(address, store, debug=debug):
            rows = _predict(store, saved, newer)
    left_out["without features"] = newer.num_rows - rows.num_rows
    if not rows.num_rows:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count) or "there is none"
        raise TableError(f"no post since {spec.since:%Y-%m-%d} can be used to test {saved}: {reasons}")
    # What the model reached on its own test split, before any drift.
    reference = scorecard.read_metrics(store, saved.name, saved.version).get("roc_auc")
    posts = labelled_predictions(rows)
    result = drift(posts, spec.limits, every=spec.every, reference=reference, resamples=spec.resamples)
    report = _report(saved, spec, result, reference, left_out)
    key = Registry.key(saved.name, saved.version, DRIFT)
    store.write(f"{key}.json", report.to_json().encode())
    store.write(f"{key}.html", report.to_html().encode())
    return DriftSummary(
        model=report.model,
        html=store.uri(f"{key}.html"),
        json=store.uri(f"{key}.json"),
        posts=result.whole.posts,
        left_out=report.left_out,
        windows={window.days: _line(window) for window in result.windows} | {"all": _line(result.whole)},
        alarms=[alarm.sentence for alarm in result.alarms],
        notes=list(report.notes),
    )


def _report(
    saved: ModelVersion, spec: DriftSpec, result: Drift, reference: Estimate | None, left_out: dict[str, int]
) -> DriftReport:
    return DriftReport(
        model=str(saved),
        since=spec.since.date().isoformat(),
        every=spec.every,
        limits=spec.limits,
        reference=reference.value if reference else None,
        left_out={reason: count for reason, count in left_out.items() if count},
        synthetic=SYNTHETIC in saved.card["sources"],
        code_version=viral.__version__,
        drift=result,
        notes=_notes(saved, result, reference is not None),
    )


def newer_posts(store: Store, saved: ModelVersion, since: datetime) -> tuple[pa.Table, dict[str, int]]:
    """Return the newer posts to test a model on, as rows of `LABELS`, and the number of the others by reason.

    The posts are labelled by the model's own label, with the constants fitted when it was trained.
    """
    posts, label = all_posts(store), saved.card["label"]
    labelled = FittedLabel.from_dict(label["fitted"]).apply(posts)
    days = label["split"]["gap_days"]
    copies = later_copies(posts, clusters_of(store, posts["post_id"]).codes)
    # In this order: a post counts under the first reason that applies.
    reasons: dict[str, Mask] = {
        "learnt from": np.asarray(pc.is_in(posts["post_id"], training_posts(store, saved))),
        "copies of an earlier post": copies,
        f"with counts from before {days:g} days": label_immature(posts, days),
        "without what the label needs": ~labelled.mask,
    }
    left: Mask = np.asarray(pc.fill_null(pc.greater_equal(posts["posted_at"], pa.scalar(since, TIMESTAMP)), False))
    left_out = {}
    for reason, mask in reasons.items():
        left_out[reason] = int((left & mask).sum())
        left = left & ~mask
    rows = label_rows(posts.filter(pa.array(labelled.mask)), np.full(int(labelled.mask.sum()), "test"), labelled)
    return rows.filter(pa.array(left[labelled.mask])), left_out


def training_posts(store: Store, saved: ModelVersion) -> pa.Array:
    """Ids of the posts of a model's training and validation splits.

    Raises:
        TableError: its label table was replaced since the training.
    """
    labels = training_data(store, saved, Scorer(saved, raw=True).streams).labels
    splits = pa.array(["train", "validation"])
    parts = [rows.filter(pc.is_in(rows["split"], splits))["post_id"] for rows in labels.scan(["post_id", "split"])]
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.string()).combine_chunks()


def label_immature(posts: pa.Table, days: float) -> Mask:
    """Mask of posts scraped less than `days` after posting, or of unknown age."""
    # Without a gap, the label does not ask for a least age of the counts.
    if not days:
        return np.zeros(posts.num_rows, bool)
    age = pc.subtract(posts["scraped_at"].cast(pa.int64()), posts["posted_at"].cast(pa.int64()))
    return np.asarray(pc.fill_null(pc.less(age, round(days * _DAY_MICROS)), True))


def _predict(store: Store, saved: ModelVersion, newer: pa.Table) -> pa.Table:
    """Predict the posts that have features, or a sample of at most `MAX_POSTS`."""
    fraction = MAX_POSTS / max(1, newer.num_rows)
    if fraction < 1:
        newer = newer.filter(pa.array([is_sampled(post, fraction) for post in newer["post_id"].to_pylist()]))
    with staging_folder(store, DRIFT) as folder:
        # A label table of its own for the time of the run: the new labels meet the features bucket by bucket, as
        # always.
        labels = BucketedTable(store, folder, LABELS, key="post_id")
        labels.append(newer, log2_buckets_for(newer.num_rows))
        return predict_test_posts(store, saved, labels)


def predict_test_posts(store: Store, saved: ModelVersion, labels: BucketedTable) -> pa.Table:
    """Predict the test posts of a label table, as `LABELS` with the columns of `PREDICTIONS`; needs a session."""
    scorer = Scorer(saved, raw=True)
    data, _ = labelled_features(store, scorer.feature_set, saved.card["label"]["name"], scorer.streams)
    # Everything else as in the evaluation: the same join, only with other labels.
    data = replace(data, labels=labels)
    log2_buckets = data.log2_buckets()
    rows = map_buckets(partial(_predict_bucket, data, str(saved), log2_buckets), log2_buckets)
    # Columns that are null in a whole bucket have the type null there.
    return pa.concat_tables(rows, promote_options="default")


def _predict_bucket(data: LabelledFeatures, model: str, log2_buckets: int, bucket: int) -> pa.Table:
    rows = data.read(log2_buckets, bucket, ("test",))
    scorer = loaded_scorer(data.features.store.root, model)
    return with_predictions(scorer, rows, rows.select(LABELS.names))


def labelled_predictions(rows: pa.Table) -> LabelledPredictions:
    """Convert posts with predictions to arrays."""
    known = rows["known"]
    labels = Labels(
        post_ids=rows["post_id"].to_pylist(),
        authors=author_codes(rows),
        y=rows["target"].to_numpy(),
        is_viral=rows["is_viral"].to_numpy(),
        posted_at=rows["posted_at"].cast(pa.timestamp("us")).to_numpy(),
    )
    predictions = PredictionBatch(*(rows[name].to_numpy() for name in ("probability", "score", "low", "high")))
    return LabelledPredictions(labels, predictions, None if known.null_count else known.to_numpy())


def _notes(saved: ModelVersion, result: Drift, evaluated: bool) -> tuple[str, ...]:
    notes = []
    if not result.whole.is_large_enough:
        notes.append("too few posts or authors for an alarm: the metrics may be far off")
    if not evaluated:
        notes.append(f"no scorecard to compare ROC-AUC with: viral evaluate --model {saved}")
    if "unknown" not in result.whole.metrics:
        notes.append("the model cannot tell which posts are unlike its training posts: viral evaluate calibrates it")
    return tuple(notes)


def _line(window: DriftWindow) -> str:
    values = ((name, window.metrics[name].value) for name in SUMMARY_METRICS if name in window.metrics)
    metrics = ", ".join(f"{name} {'-' if value is None else format(value, '.3f')}" for name, value in values)
    return f"{window.posts} posts by {window.authors} authors, {metrics}"
