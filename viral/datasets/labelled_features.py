"""Features joined with labels, bucket by bucket: what models are trained and judged on."""

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
from viral.tables.bucketed import Parts, bits_for

_DIGESTS = 1 << 128
_SLICE = 2048  # rows: a bucket of spectrograms in double precision would be 2 GB
USED = ("train", "validation", "test")
"""The parts of a split that a model looks at."""
TARGETS = ("target", "is_viral", "likes_rate", "comments_rate", "shares_rate")


@dataclass(frozen=True)
class LabelledFeatures:
    """The rows that have both a label and at least one vector.

    Args:
        features: a feature table.
        labels: a label table.
        streams: the vector columns that are wanted.
        beside: columns that are read along, and that make no row by themselves.
        share: of the authors of the training split: what a model learns from so many shows what more would bring.
    """

    features: Parts
    labels: Parts
    streams: tuple[Stream, ...]
    beside: tuple[str, ...] = ()
    share: float = 1.0

    def bits(self) -> int:
        """The number of buckets to read it in, as a power of two."""
        return bits_for(sum(part.rows for part in self.features.parts()))

    def read(self, bits: int, bucket: int, splits: Sequence[str]) -> pa.Table:
        """One bucket's rows of those splits, in order of post: label columns, then vector columns."""
        labels = self.labels.read(bits, bucket)
        labels = labels.filter(pc.is_in(labels["split"], pa.array(list(splits), pa.string())))
        if self.share < 1:
            labels = labels.filter(pa.array(_shared(labels, self.share), pa.bool_()))
        names = [stream.name for stream in self.streams]
        columns = list(dict.fromkeys([*names, *self.beside]))
        features = self.features.read(bits, bucket, ["post_id", *columns])
        place = pc.index_in(labels["post_id"], features["post_id"])
        rows = features.take(place.drop_null()).select(columns)
        joined = labels.filter(pc.is_valid(place))
        for name in columns:
            joined = joined.append_column(name, rows[name])
        return having(joined, names)

    def statistics(self, bits: int, bucket: int) -> Statistics:
        """What one bucket adds to the statistics of the training split, and to the hash of the data."""
        return measured(self.read(bits, bucket, USED), self.streams)


def having(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """The rows that have any of these columns."""
    valid = [np.asarray(pc.is_valid(rows[name]), dtype=bool) for name in names]
    return rows.filter(pa.array(np.logical_or.reduce(valid)))


@dataclass(frozen=True)
class Moments:
    """Count, sum (dim,) and sum of squares (dim,) of vectors: they add up over buckets."""

    count: int
    total: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """(dim,)."""
        return self.total / max(1, self.count)

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        """The standard deviation (dim,); 1 where a value never varies."""
        variance = self.squares / max(1, self.count) - self.mean**2
        floor = 1e-12 * (1 + self.mean**2)  # what is left of a constant after cancellation
        return np.where(variance > floor, np.sqrt(np.maximum(variance, floor)), 1.0)


def moments_of(vectors: npt.NDArray[np.floating[Any]]) -> Moments:
    """The moments of vectors (N, dim), added up in double precision a slice at a time."""
    slices = (vectors[first : first + _SLICE].astype(np.float64) for first in range(0, len(vectors), _SLICE))
    each = (Moments(len(piece), piece.sum(axis=0), (piece**2).sum(axis=0)) for piece in slices)
    nothing = np.zeros(vectors.shape[1])
    return reduce(add, each, Moments(0, nothing, nothing))


@dataclass
class Statistics:
    """Moments of each stream, of `target` and of `is_viral` over the training split, and a digest of all rows."""

    rows: int = 0
    moments: dict[str, Moments] = field(default_factory=dict)
    digest: int = 0

    @property
    def data_hash(self) -> str:
        """A hash of all labels and vectors that were read, the same for the same data however it is stored."""
        return hashlib.sha256(str(self.digest).encode()).hexdigest()[:16]


def measured(rows: pa.Table, streams: Sequence[Stream]) -> Statistics:
    """The statistics of the training split, and the hash, of labelled rows with the vectors of these streams.

    A stream that no post of the training split has is not in `moments`.
    """
    train = rows.filter(pc.equal(rows["split"], "train"))
    sums = Statistics(digest=digest_of(rows, streams), rows=train.num_rows)
    if not train.num_rows:
        return sums
    batch = from_table(streams, train)
    for place, stream in enumerate(streams):
        vectors = batch.vectors[stream.name][batch.present[:, place]]
        if len(vectors):
            sums.moments[stream.name] = moments_of(vectors)
    for name in ("target", "is_viral"):
        sums.moments[name] = moments_of(train[name].cast(pa.float64()).to_numpy()[:, None])
    return sums


def total(parts: Iterable[Statistics]) -> Statistics:
    """The sum over buckets."""
    result = Statistics()
    for part in parts:
        result.rows += part.rows
        result.digest = (result.digest + part.digest) % _DIGESTS
        for name, moments in part.moments.items():
            result.moments[name] = result.moments[name] + moments if name in result.moments else moments
    return result


def digest_of(rows: pa.Table, streams: Sequence[Stream]) -> int:
    """A hash of labelled features: the sum of a hash of each row, so that neither order, buckets nor files matter."""
    ordered = sorted(streams, key=lambda stream: stream.name)
    batch = from_table(ordered, rows)
    names = hashlib.blake2b(",".join(stream.name for stream in ordered).encode(), digest_size=16)
    posted = rows["posted_at"].cast(pa.int64())
    words = zip(
        *(each.to_pylist() for each in (rows["post_id"], rows["author_id"], posted, rows["split"])), strict=True
    )
    columns = [rows[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in TARGETS]
    numbers = np.column_stack([*columns, batch.present])
    total = 0
    for place, word in enumerate(words):
        digest = names.copy()
        digest.update(repr(word).encode())
        digest.update(numbers[place])
        for stream in ordered:
            digest.update(batch.vectors[stream.name][place])
        total += int.from_bytes(digest.digest(), "big")
    return total % _DIGESTS


def targets_of(rows: pa.Table) -> Mapping[str, npt.NDArray[np.float32]]:
    """The label columns as float32 (N,), NaN where null."""
    return {name: rows[name].cast(pa.float32()).to_numpy(zero_copy_only=False) for name in TARGETS}


def _shared(labels: pa.Table, share: float) -> list[bool]:
    """Which rows stay: all but those of the training split by other authors. A smaller share is part of a larger one.

    By a keyed hash of the author, or of a post without one: the key is another than that of the splits.
    """
    columns = (labels[name].to_pylist() for name in ("split", "author_id", "post_id"))
    return [
        split != "train" or _place(f"a{author}" if author else f"p{post}") < share
        for split, author, post in zip(*columns, strict=True)
    ]


def _place(owner: str) -> float:
    """Somewhere between 0 and 1."""
    return int.from_bytes(hashlib.blake2b(owner.encode(), digest_size=8, key=b"share").digest()) / 2**64
