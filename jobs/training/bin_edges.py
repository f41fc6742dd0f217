"""Edges of the bins that a network encodes numbers by, from a sample of the training split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa

from jobs.runtime.buckets import map_buckets
from viral.datasets.labelled_features import LabelledFeatures, Statistics
from viral.datasets.streams import Stream, from_table
from viral.models.ensemble.rows import is_sampled
from viral.models.numbers import edges_of, is_numbers

EDGE_POSTS = 50_000  # training posts whose values are sorted by the driver: at most 12 MB per stream


def training_edges(
    data: LabelledFeatures, streams: Sequence[Stream], statistics: Statistics, bins: int
) -> dict[str, list[list[float]]]:
    """Edges (dim, bins + 1) of each stream of numbers, by name; zeros for a value of infinite scale, left out."""
    numbers = tuple(stream for stream in streams if is_numbers(stream))
    if not numbers or not bins:
        return {}
    narrow = replace(data, streams=numbers)
    log2_buckets = narrow.log2_buckets()
    sample = partial(_sample, narrow, log2_buckets, min(1.0, EDGE_POSTS / max(1, statistics.rows)))
    posts = pa.concat_tables(map_buckets(sample, log2_buckets)).combine_chunks()
    batch = from_table(numbers, posts)
    edges = edges_of(numbers, batch.vectors, batch.present, bins)
    for name, values in edges.items():
        for index in np.flatnonzero(np.isinf(statistics.moments[name].scale)):
            values[index] = [0.0] * (bins + 1)
    return edges


def _sample(data: LabelledFeatures, log2_buckets: int, fraction: float, bucket: int) -> pa.Table:
    rows = data.read(log2_buckets, bucket, ("train",))
    chosen = [is_sampled(post, fraction) for post in rows["post_id"].to_pylist()]
    return rows.filter(pa.array(chosen, pa.bool_())).select([stream.name for stream in data.streams])
