"""Made-up labelled posts as a source of rows, in several buckets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
import pytest

from tests.models.conftest import STREAMS, labelled
from viral.datasets.labelled_features import LabelledFeatures, Moments
from viral.datasets.streams import Stream, from_table
from viral.models.ensemble.rows import Layout, Rows, Source
from viral.models.train_config import Scaling

SCALING = Scaling(3.0, 2.0)


@dataclass(frozen=True)
class Table:
    """Rows as `LabelledFeatures` reads them, in buckets by their place."""

    streams: tuple[Stream, ...]
    rows: pa.Table

    def read(self, log2_buckets: int, bucket: int, splits: Sequence[str]) -> pa.Table:
        place = np.arange(self.rows.num_rows)
        return self.rows.filter(pa.array(place % (1 << log2_buckets) == bucket))


@dataclass(frozen=True, eq=False)
class Posts:
    """Posts to learn from, to weigh on and to predict, and how they become rows."""

    layout: Layout
    train: Source
    held: Rows
    new: Rows


@pytest.fixture(scope="package")
def posts() -> Posts:
    return made(STREAMS)


def made(streams: tuple[Stream, ...], count: int = 400) -> Posts:
    train, held, new = (labelled(size, seed=seed) for seed, size in enumerate((count, 200, 150)))
    batch, moments = from_table(streams, train), {}
    for place, stream in enumerate(streams):
        x = batch.vectors[stream.name][batch.present[:, place]].astype(np.float64)
        moments[stream.name] = Moments(len(x), x.sum(axis=0), (x**2).sum(axis=0))
    sources = [
        Source(cast("LabelledFeatures", Table(streams, each)), 2, "train", SCALING) for each in (train, held, new)
    ]
    return Posts(Layout.of(streams, moments), sources[0], sources[1].all(), sources[2].all())
