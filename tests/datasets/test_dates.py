"""Columns that only name the date are ignored by all models where the corpus is short, and by none elsewhere."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from viral.datasets.dates import DATES, MIN_DAYS, left_out, without_dates
from viral.datasets.labelled_features import RunningMoments, Statistics, sum_statistics
from viral.datasets.streams import Batch, streams_of
from viral.extractors.feature_set import FeatureSet
from viral.extractors.metadata import METADATA_COLUMNS
from viral.models.ensemble.rows import Layout
from viral.models.fusion import Fusion, set_statistics
from viral.models.fusion_config import FusionConfig

SET = FeatureSet.from_dict({"name": "mine", "extractors": ["metadata"]})
DIM = len(METADATA_COLUMNS)
WEEKDAYS = [METADATA_COLUMNS.index(column) for column in DATES]


def statistics(days: int | None) -> Statistics:
    moments = {"metadata": RunningMoments(10, np.full(DIM, 5.0), np.full(DIM, 10.0))}
    return Statistics(10, moments, 0, Counter() if days is None else Counter([20_000, 20_000 + days]))


@pytest.mark.parametrize(("days", "short"), [(MIN_DAYS - 1, True), (MIN_DAYS, False), (None, False)])
def test_a_short_corpus_has_no_weekdays(days: int | None, short: bool) -> None:
    found = without_dates(statistics(days), SET)
    assert left_out(found) == ([f"metadata {column}" for column in DATES] if short else [])
    assert (np.flatnonzero(np.isinf(found.moments["metadata"].scale)).tolist() == WEEKDAYS) == short
    assert (found.moments["metadata"].mean == statistics(days).moments["metadata"].mean).all()


def test_imported_columns_of_the_same_name_stay() -> None:
    params = {"name": "metadata", "modality": "metadata", "length": DIM, "digest": "x"}
    mine = FeatureSet.from_dict({"name": "mine", "extractors": [{"name": "foreign", "params": params}]})
    assert left_out(without_dates(statistics(10), mine)) == []


def test_the_length_of_the_corpus_is_that_of_all_buckets() -> None:
    parts = [replace(statistics(None), days=Counter(days)) for days in ([5, 9], [], [2, 3])]
    assert sum_statistics(parts).span == 9 - 2
    assert sum_statistics(parts[1:2]).span is None
    # One post of another year says nothing of all others.
    assert replace(statistics(None), days=Counter([*range(30)] * 10 + [-900])).span == 29


@pytest.mark.parametrize("bins", [0, 4])
def test_no_model_sees_them(bins: int) -> None:
    found, rng = without_dates(statistics(30), SET), np.random.default_rng(0)
    streams = streams_of(SET)
    one = rng.normal(size=(3, DIM)).astype(np.float32)
    other = one.copy()
    other[:, WEEKDAYS] += 3
    present = np.ones((3, 1), bool)
    layout = Layout.from_moments(streams, found.moments)
    for matrix in (layout.with_nan, layout.standardised):
        assert np.array_equal(*(matrix(Batch({"metadata": vectors}, present)) for vectors in (one, other)))
        assert np.isfinite(matrix(Batch({"metadata": one}, present))).all()
    network = Fusion(FusionConfig(streams, bins=bins)).eval()
    moments = found.moments["metadata"]
    edges = np.sort(rng.normal(size=(DIM, bins + 1)), axis=1)
    edges[WEEKDAYS] = 0
    set_statistics(
        network, {"metadata": moments.mean.tolist()}, {"metadata": moments.scale.tolist()}, {"metadata": edges.tolist()}
    )
    said = [network({"metadata": torch.from_numpy(vectors)}, torch.from_numpy(present)) for vectors in (one, other)]
    assert torch.equal(said[0].quantiles, said[1].quantiles)
    assert torch.isfinite(said[0].quantiles).all()
