"""Fit a saved model's calibration on the validation split, and store it beside the weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.runtime.buckets import map_buckets
from jobs.scoring.loaded import raw_scorer
from jobs.training.labelled import training_data
from viral.datasets.labelled_features import LabelledFeatures
from viral.datasets.streams import from_table
from viral.duplicates.clusters import VIDEO_COLUMNS, later_copies, video_clusters
from viral.evaluation.splits import author_codes
from viral.models.ensemble.rows import is_sampled
from viral.registry.registry import ModelVersion, Registry
from viral.scoring.calibration import Calibration, fit
from viral.scoring.conformal import LEVEL
from viral.scoring.reference import REFERENCE_COLUMNS, ROWS, Reference
from viral.scoring.scorer import CALIBRATION, Scorer
from viral.storage.store import Store

MAX_VALIDATION_ROWS = 100_000  # validation posts to predict; more hardly change the calibration
MAX_VALUES = 48_000_000  # vector components collected by the driver: 192 MB of float32


@dataclass(frozen=True)
class SamplingRates:
    """Fractions of the posts to collect, by split, and of the validation posts to predict."""

    train: float
    validation: float
    predicted: float


def calibrate(store: Store, saved: ModelVersion) -> Calibration | None:
    """Fit the calibration and the reference posts of a model, and store both beside it. Call it within a session.

    The calibration is fitted on the validation split, which no network weight was learned from (it did select the best
    epoch and the weights of ensemble members). The reference posts, for comparison with later posts, are a sample of
    the training split, each video once.

    Returns:
        None if no validation post has features: the model stays uncalibrated.

    Raises:
        TableError: the labels were rewritten after the model was trained.
    """
    # Raw: an earlier calibration must not shape the new one.
    scorer = Scorer(saved, raw=True)
    data = replace(training_data(store, saved, scorer.streams), extra_columns=VIDEO_COLUMNS)
    log2_buckets = data.log2_buckets()
    work = partial(_gather, data, log2_buckets, str(saved), _sampling_rates(data, saved))
    # The driver holds samples of fixed size, however many posts there are.
    pieces = zip(*map_buckets(work, log2_buckets), strict=True)
    sample, predicted = (pa.concat_tables(tables).combine_chunks() for tables in pieces)
    if not predicted.num_rows:
        return None
    train = sample.filter(pc.equal(sample["split"], "train"))
    validation = sample.filter(pc.equal(sample["split"], "validation"))
    distinct = _without_copies(train)
    # Distances of validation posts to the reference posts say which distance is still typical.
    batches = [from_table(scorer.streams, rows) for rows in (distinct, validation)]
    reference = Reference.fit(scorer.streams, batches[0], distinct.select(list(REFERENCE_COLUMNS)), batches[1])
    reference.save(store, saved.prefix)
    calibration = _fit(train, predicted)
    store.write(Registry.key(saved.name, saved.version, CALIBRATION), json.dumps(calibration.to_dict()).encode())
    return calibration


def _sampling_rates(data: LabelledFeatures, saved: ModelVersion) -> SamplingRates:
    posts, rows = max(1, data.labels.stored_rows()), max(1, saved.card["rows"])
    sampled = min(ROWS, MAX_VALUES // max(1, sum(stream.dim for stream in data.streams)))
    # For the validation split, all posts are an upper bound: the sample may be smaller than allowed.
    counts = ((sampled, rows), (sampled, posts), (MAX_VALIDATION_ROWS, posts))
    return SamplingRates(*(min(1.0, count / total) for count, total in counts))


def _gather(
    data: LabelledFeatures, log2_buckets: int, model: str, rates: SamplingRates, bucket: int
) -> tuple[pa.Table, pa.Table]:
    """Sample a bucket: posts of both splits with their vectors, and validation posts with the model's predictions."""
    rows = data.read(log2_buckets, bucket, ("train", "validation"))
    ids, train = rows["post_id"].to_pylist(), rows["split"].to_numpy(zero_copy_only=False) == "train"
    sample = _mask(ids, np.where(train, rates.train, rates.validation))
    predicted = _mask(ids, np.where(train, 0.0, rates.predicted))
    vectors = [stream.name for stream in data.streams]
    scorer = raw_scorer(data.features.store.root, model)
    # Vectors travel for the reference posts only; predictions need four numbers per post.
    return rows.filter(sample).select([*REFERENCE_COLUMNS, "split", *VIDEO_COLUMNS, *vectors]), _predict(
        scorer, rows.filter(predicted)
    )


def _without_copies(train: pa.Table) -> pa.Table:
    """Leave out the copies of a video: as neighbours of a post they would count as independent evidence."""
    return train.filter(pa.array(~later_copies(train, video_clusters(train).codes)))


def _mask(ids: Sequence[str], rates: npt.NDArray[np.float64]) -> pa.Array:
    return pa.array([is_sampled(post, rate) for post, rate in zip(ids, rates, strict=True)], pa.bool_())


def _predict(scorer: Scorer, rows: pa.Table) -> pa.Table:
    """Return the reference columns of the rows, and the model's predictions as further columns."""
    table = rows.select(list(REFERENCE_COLUMNS))
    # A bucket without such posts still has the columns, so that the tables of all buckets fit together.
    columns: Sequence[Any] = [[]] * 4
    if rows.num_rows:
        predictions = scorer.predict(from_table(scorer.streams, rows))
        columns = (*predictions.quantiles.T, predictions.probability)
    for name, values in zip(("low", "score", "high", "probability"), columns, strict=True):
        table = table.append_column(name, pa.array(values, pa.float64()))
    return table


def _fit(train: pa.Table, predicted: pa.Table) -> Calibration:
    y = train["target"].to_numpy()
    # The middle LEVEL of the training targets: an interval as wide as this says nothing.
    low, high = np.quantile(y, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return fit(
        predicted["probability"].to_numpy(),
        np.stack([predicted[name].to_numpy() for name in ("low", "score", "high")], axis=1),
        predicted["target"].to_numpy(),
        predicted["is_viral"].to_numpy(zero_copy_only=False),
        author_codes(predicted),
        base_rate=float(train["is_viral"].to_numpy(zero_copy_only=False).mean()),
        spread=(float(low), float(high)),
    )
