"""Features joined with labels, bucket by bucket: the data for training and evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.datasets.streams import Stream, from_table
from viral.tables.bucketed import BucketedTable

_DIGESTS = 1 << 128  # digests of rows have 16 bytes; their sum wraps around here
_SLICE = 2048  # rows converted at once: a bucket of spectrograms in double precision would be 2 GB
SPLITS = ("train", "validation", "test")
"""The splits that training and evaluation read; other rows are ignored."""
TARGETS = ("target", "is_viral", "likes_rate", "comments_rate", "shares_rate")


@dataclass(frozen=True)
class LabelledFeatures:
    """The posts that have both a label and at least one vector.

    Args:
        features: a feature table.
        labels: a label table.
        streams: the vector columns to read.
        extra_columns: further columns to read; a post needs a vector of `streams` all the same.
        author_fraction: the fraction of the training split's authors to read, for learning curves.
    """

    features: BucketedTable
    labels: BucketedTable
    streams: tuple[Stream, ...]
    extra_columns: tuple[str, ...] = ()
    author_fraction: float = 1.0

    def log2_buckets(self) -> int:
        """The number of buckets to read it in, as a power of two."""
        return self.features.log2_buckets()

    def read(self, log2_buckets: int, bucket: int, splits: Sequence[str]) -> pa.Table:
        """One bucket's rows of these splits, sorted by post: label columns, then vector columns."""
        labels = self.labels.read(log2_buckets, bucket)
        labels = labels.filter(pc.is_in(labels["split"], pa.array(list(splits), pa.string())))
        if self.author_fraction < 1:
            labels = labels.filter(pa.array(_sample_authors(labels, self.author_fraction), pa.bool_()))
        names = [stream.name for stream in self.streams]
        columns = list(dict.fromkeys([*names, *self.extra_columns]))
        features = self.features.read(log2_buckets, bucket, ["post_id", *columns])
        index = pc.index_in(labels["post_id"], features["post_id"])
        rows = features.take(index.drop_null()).select(columns)
        joined = labels.filter(pc.is_valid(index))
        for name in columns:
            joined = joined.append_column(name, rows[name])
        return drop_empty_rows(joined, names)

    def statistics(self, log2_buckets: int, bucket: int) -> Statistics:
        """The statistics of one bucket."""
        return compute_statistics(self.read(log2_buckets, bucket, SPLITS), self.streams)


def drop_empty_rows(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """Drop the rows that are null in all of these columns."""
    valid = [np.asarray(pc.is_valid(rows[name]), dtype=bool) for name in names]
    return rows.filter(pa.array(np.logical_or.reduce(valid)))


@dataclass(frozen=True)
class RunningMoments:
    """Count, sum (dim,) and sum of squares (dim,) of vectors; they add up over buckets."""

    count: int
    total: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]

    def __add__(self, other: RunningMoments) -> RunningMoments:
        return RunningMoments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """The mean (dim,)."""
        return self.total / max(1, self.count)

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        """The standard deviation (dim,); 1 where a value is constant."""
        variance = self.squares / max(1, self.count) - self.mean**2
        floor = 1e-12 * (1 + self.mean**2)  # above what cancellation leaves of a constant
        return np.where(variance > floor, np.sqrt(np.maximum(variance, floor)), 1.0)


def moments_of(vectors: npt.NDArray[np.floating[Any]]) -> RunningMoments:
    """The moments of vectors (N, dim), summed in double precision slice by slice."""
    slices = (vectors[first : first + _SLICE].astype(np.float64) for first in range(0, len(vectors), _SLICE))
    moments = (RunningMoments(len(values), values.sum(axis=0), (values**2).sum(axis=0)) for values in slices)
    zeros = np.zeros(vectors.shape[1])
    return reduce(add, moments, RunningMoments(0, zeros, zeros))


@dataclass
class Statistics:
    """Moments of each stream, of `target` and of `is_viral` over the training split, and a digest of all rows."""

    rows: int = 0
    moments: dict[str, RunningMoments] = field(default_factory=dict)
    digest: int = 0

    @property
    def data_hash(self) -> str:
        """A hash of all labels and vectors, independent of how they are stored."""
        return hashlib.sha256(str(self.digest).encode()).hexdigest()[:16]


def compute_statistics(rows: pa.Table, streams: Sequence[Stream]) -> Statistics:
    """The statistics of labelled rows with the vectors of these streams.

    Streams that no post of the training split has are not in `moments`.
    """
    train = rows.filter(pc.equal(rows["split"], "train"))
    statistics = Statistics(digest=digest_of(rows, streams), rows=train.num_rows)
    if not train.num_rows:
        return statistics
    batch = from_table(streams, train)
    for index, stream in enumerate(streams):
        vectors = batch.vectors[stream.name][batch.present[:, index]]
        if len(vectors):
            statistics.moments[stream.name] = moments_of(vectors)
    for name in ("target", "is_viral"):
        statistics.moments[name] = moments_of(train[name].cast(pa.float64()).to_numpy()[:, None])
    return statistics


def sum_statistics(parts: Iterable[Statistics]) -> Statistics:
    """The statistics of all buckets together."""
    result = Statistics()
    for part in parts:
        result.rows += part.rows
        result.digest = (result.digest + part.digest) % _DIGESTS
        for name, moments in part.moments.items():
            result.moments[name] = result.moments[name] + moments if name in result.moments else moments
    return result


def digest_of(rows: pa.Table, streams: Sequence[Stream]) -> int:
    """A hash of labelled features: the sum over rows of their hashes, independent of order, buckets and files."""
    ordered = sorted(streams, key=lambda stream: stream.name)
    batch = from_table(ordered, rows)
    header = hashlib.blake2b(",".join(stream.name for stream in ordered).encode(), digest_size=16)
    posted = rows["posted_at"].cast(pa.int64())
    keys = zip(
        *(column.to_pylist() for column in (rows["post_id"], rows["author_id"], posted, rows["split"])), strict=True
    )
    columns = [rows[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in TARGETS]
    numbers = np.column_stack([*columns, batch.present])
    total = 0
    for row, key in enumerate(keys):
        digest = header.copy()
        digest.update(repr(key).encode())
        digest.update(numbers[row])
        for stream in ordered:
            digest.update(batch.vectors[stream.name][row])
        total += int.from_bytes(digest.digest(), "big")
    return total % _DIGESTS


def targets_of(rows: pa.Table) -> Mapping[str, npt.NDArray[np.float32]]:
    """The label columns as float32 (N,), NaN where null."""
    return {name: rows[name].cast(pa.float32()).to_numpy(zero_copy_only=False) for name in TARGETS}


def _sample_authors(labels: pa.Table, fraction: float) -> list[bool]:
    """Mask of rows: the training split's sampled authors, and all other splits. Smaller samples are subsets of larger.

    Authors are sampled by a keyed hash, of the post id where the author is unknown; `splits` uses another key.
    """
    columns = (labels[name].to_pylist() for name in ("split", "author_id", "post_id"))
    return [
        split != "train" or _unit_hash(f"a{author}" if author else f"p{post}") < fraction
        for split, author, post in zip(*columns, strict=True)
    ]


def _unit_hash(owner: str) -> float:
    """A hash between 0 and 1."""
    return int.from_bytes(hashlib.blake2b(owner.encode(), digest_size=8, key=b"share").digest()) / 2**64
