"""Features joined with labels, bucket by bucket, for training and evaluation."""

from __future__ import annotations

import hashlib
from collections import Counter
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

DIGEST_MODULUS = 1 << 128  # digests of rows have 16 bytes, and so does their sum
_DAY = 86_400_000_000  # microseconds
_SLICE = 2048  # rows converted to double precision at a time: a bucket of spectrograms would be 2 GB
SPLITS = ("train", "validation", "test")
"""Splits to read in training and evaluation; other rows are ignored."""
TARGETS = ("target", "is_viral", "likes_rate", "comments_rate", "shares_rate")


@dataclass(frozen=True)
class LabelledFeatures:
    """Posts with a label and at least one vector.

    Args:
        features: a feature table.
        labels: a label table.
        streams: the vector columns to read.
        extra_columns: further columns of the feature table to read; they may all be null.
        author_fraction: fraction of the training split's authors to read, for learning curves.
    """

    features: BucketedTable
    labels: BucketedTable
    streams: tuple[Stream, ...]
    extra_columns: tuple[str, ...] = ()
    author_fraction: float = 1.0

    def log2_buckets(self) -> int:
        """Binary logarithm of the number of buckets to read."""
        return self.features.log2_buckets()

    def read(self, log2_buckets: int, bucket: int, splits: Sequence[str]) -> pa.Table:
        """Read a bucket's rows of these splits, sorted by post: label columns, then vector columns."""
        labels = self.labels.read(log2_buckets, bucket)
        # Filter the narrow label rows first: vectors are taken for the remaining posts only.
        labels = labels.filter(pc.is_in(labels["split"], pa.array(list(splits), pa.string())))
        if self.author_fraction < 1:
            labels = labels.filter(pa.array(_sample_authors(labels, self.author_fraction), pa.bool_()))
        names = [stream.name for stream in self.streams]
        columns = list(dict.fromkeys([*names, *self.extra_columns]))
        features = self.features.read(log2_buckets, bucket, ["post_id", *columns])
        # Both tables are hashed by post id: a bucket of one has all rows that the same bucket of the other needs.
        index = pc.index_in(labels["post_id"], features["post_id"])
        rows = features.take(index.drop_null()).select(columns)
        joined = labels.filter(pc.is_valid(index))
        for name in columns:
            joined = joined.append_column(name, rows[name])
        return drop_empty_rows(joined, names)

    def statistics(self, log2_buckets: int, bucket: int) -> Statistics:
        """Compute the statistics of one bucket."""
        return compute_statistics(self.read(log2_buckets, bucket, SPLITS), self.streams)


def drop_empty_rows(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """Drop the rows that are null in all of these columns."""
    valid = [np.asarray(pc.is_valid(rows[name]), dtype=bool) for name in names]
    return rows.filter(pa.array(np.logical_or.reduce(valid)))


@dataclass(frozen=True)
class RunningMoments:
    """Count, sum (dim,) and sum of squares (dim,) of vectors; `+` combines buckets."""

    count: int
    total: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]

    def __add__(self, other: RunningMoments) -> RunningMoments:
        return RunningMoments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """Mean (dim,)."""
        return self.total / max(1, self.count)

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        """Standard deviation (dim,); 1 where a value is constant."""
        # From sums, so that buckets can be combined; in double precision the difference loses little.
        variance = self.squares / max(1, self.count) - self.mean**2
        floor = 1e-12 * (1 + self.mean**2)  # above the rounding error for a constant
        return np.where(variance > floor, np.sqrt(np.maximum(variance, floor)), 1.0)


def compute_moments(vectors: npt.NDArray[np.floating[Any]]) -> RunningMoments:
    """Compute the moments of vectors (N, dim), in double precision, slice by slice."""
    slices = (vectors[first : first + _SLICE].astype(np.float64) for first in range(0, len(vectors), _SLICE))
    moments = (RunningMoments(len(values), values.sum(axis=0), (values**2).sum(axis=0)) for values in slices)
    zeros = np.zeros(vectors.shape[1])
    return reduce(add, moments, RunningMoments(0, zeros, zeros))


@dataclass
class Statistics:
    """Moments of streams, `target` and `is_viral` over the training split of `rows` posts; digest of all splits.

    `days` counts its posts by day of posting, since 1970.
    """

    rows: int = 0
    moments: dict[str, RunningMoments] = field(default_factory=dict)
    digest: int = 0
    days: Counter[int] = field(default_factory=Counter)

    @property
    def span(self) -> int | None:
        """Days between which the middle 98 % of the posts lie, as some old post is in most scrapes; None if unknown."""
        if not self.days:
            return None
        days = np.sort(np.fromiter(self.days.elements(), np.int64))
        first, last = np.quantile(days, [0.01, 0.99], method="nearest")
        return int(last - first)

    @property
    def data_hash(self) -> str:
        """Hash of all labels and vectors, independent of how they are stored."""
        return hashlib.sha256(str(self.digest).encode()).hexdigest()[:16]


def compute_statistics(rows: pa.Table, streams: Sequence[Stream]) -> Statistics:
    """Compute the statistics of labelled rows; streams that no training post has are not in `moments`."""
    train = rows.filter(pc.equal(rows["split"], "train"))
    statistics = Statistics(digest=hash_rows(rows, streams), rows=train.num_rows)
    if not train.num_rows:
        return statistics
    statistics.days.update((train["posted_at"].drop_null().cast(pa.int64()).to_numpy() // _DAY).tolist())
    batch = from_table(streams, train)
    for index, stream in enumerate(streams):
        vectors = batch.vectors[stream.name][batch.present[:, index]]
        if len(vectors):
            statistics.moments[stream.name] = compute_moments(vectors)
    for name in ("target", "is_viral"):
        statistics.moments[name] = compute_moments(train[name].cast(pa.float64()).to_numpy()[:, None])
    return statistics


def sum_statistics(parts: Iterable[Statistics]) -> Statistics:
    """Combine the statistics of all buckets."""
    result = Statistics()
    for part in parts:
        result.rows += part.rows
        result.digest = (result.digest + part.digest) % DIGEST_MODULUS
        result.days += part.days
        for name, moments in part.moments.items():
            result.moments[name] = result.moments[name] + moments if name in result.moments else moments
    return result


def hash_rows(rows: pa.Table, streams: Sequence[Stream]) -> int:
    """Hash labelled features: the sum of the hashes of the rows, independent of order, buckets and files."""
    # By name, so that the order of streams in a feature set does not change the hash.
    ordered = sorted(streams, key=lambda stream: stream.name)
    batch = from_table(ordered, rows)
    header = hashlib.blake2b(",".join(stream.name for stream in ordered).encode(), digest_size=16)
    keys = (rows["post_id"], rows["author_id"], rows["posted_at"].cast(pa.int64()), rows["split"])
    columns = [rows[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in TARGETS]
    numbers = np.column_stack([*columns, batch.present])
    total = 0
    for row, key in enumerate(zip(*(column.to_pylist() for column in keys), strict=True)):
        # Hashed once per table, copied per row: the names of the streams are part of the data.
        digest = header.copy()
        digest.update(repr(key).encode())
        digest.update(numbers[row])
        for stream in ordered:
            digest.update(batch.vectors[stream.name][row])
        # A sum does not depend on the order of rows, and unlike an exclusive or, equal rows do not cancel out.
        total += int.from_bytes(digest.digest(), "big")
    return total % DIGEST_MODULUS


def target_arrays(rows: pa.Table) -> Mapping[str, npt.NDArray[np.float32]]:
    """Convert the label columns to float32 (N,), NaN where null."""
    return {name: rows[name].cast(pa.float32()).to_numpy(zero_copy_only=False) for name in TARGETS}


def _sample_authors(labels: pa.Table, fraction: float) -> list[bool]:
    """Return a mask of rows: sampled authors of the training split, and all other splits.

    Authors are sampled by a keyed hash, of the post id if unknown: smaller samples are subsets of larger ones. The
    assignment of splits uses another key.
    """
    columns = (labels[name].to_pylist() for name in ("split", "author_id", "post_id"))
    return [
        split != "train" or _unit_hash(f"a{author}" if author else f"p{post}") < fraction
        for split, author, post in zip(*columns, strict=True)
    ]


def _unit_hash(owner: str) -> float:
    # The key of an earlier name: another one would draw other authors than older models were trained on.
    return int.from_bytes(hashlib.blake2b(owner.encode(), digest_size=8, key=b"share").digest()) / 2**64
