"""Synthetic labelled posts as a source of rows, in several buckets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
import pytest

from tests.models.conftest import STREAMS, labelled
from viral.datasets.labelled_features import LabelledFeatures, RunningMoments
from viral.datasets.streams import Stream, from_table
from viral.models.ensemble.rows import LabelledBatch, Layout, RowSource
from viral.models.train_config import Scaling

SCALING = Scaling(3.0, 2.0)


@dataclass(frozen=True)
class Table:
    """Rows as `LabelledFeatures` reads them, in buckets by their index."""

    streams: tuple[Stream, ...]
    rows: pa.Table

    def read(self, log2_buckets: int, bucket: int, splits: Sequence[str]) -> pa.Table:
        index = np.arange(self.rows.num_rows)
        return self.rows.filter(pa.array(index % (1 << log2_buckets) == bucket))


@dataclass(frozen=True, eq=False)
class Posts:
    """Posts for training, validation and prediction, with their layout."""

    layout: Layout
    train: RowSource
    validation: LabelledBatch
    new: LabelledBatch


@pytest.fixture(scope="package")
def posts() -> Posts:
    return make_posts(STREAMS)


def make_posts(streams: tuple[Stream, ...], count: int = 400) -> Posts:
    train, validation, new = (labelled(size, seed=seed) for seed, size in enumerate((count, 200, 150)))
    batch, moments = from_table(streams, train), {}
    for index, stream in enumerate(streams):
        x = batch.vectors[stream.name][batch.present[:, index]].astype(np.float64)
        moments[stream.name] = RunningMoments(len(x), x.sum(axis=0), (x**2).sum(axis=0))
    sources = [
        RowSource(cast("LabelledFeatures", Table(streams, rows)), 2, "train", SCALING)
        for rows in (train, validation, new)
    ]
    return Posts(Layout.from_moments(streams, moments), sources[0], sources[1].read_all(), sources[2].read_all())
