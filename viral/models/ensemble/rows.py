"""Posts as the matrices that classical models take, read bucket by bucket and, where there are too many, sampled."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from viral.datasets.labelled_features import LabelledFeatures, Moments
from viral.datasets.streams import Batch, Stream, from_table
from viral.models.train_config import Scaling

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]
BOUND = 8.0  # standard deviations: an outlier must not decide a score


@dataclass(frozen=True)
class Layout:
    """How a batch becomes one row a post: its streams side by side, then a flag for each that is there.

    Attributes:
        streams: in order.
        mean: (columns,) of the training split.
        scale: (columns,), its standard deviation.
    """

    streams: tuple[Stream, ...]
    mean: Matrix
    scale: Matrix

    @classmethod
    def of(cls, streams: tuple[Stream, ...], moments: Mapping[str, Moments]) -> Layout:
        """With the statistics of the training split."""
        mean, scale = (
            np.concatenate([getattr(moments[stream.name], name) for stream in streams]).astype(np.float32)
            for name in ("mean", "scale")
        )
        return cls(streams, mean, scale)

    @cached_property
    def columns(self) -> tuple[Stream, ...]:
        """For each column of the vectors, the stream that it is of."""
        return tuple(stream for stream in self.streams for _ in range(stream.dim))

    def gaps(self, batch: Batch) -> Matrix:
        """As trees take it: (N, columns + streams), as extracted, NaN where a stream is absent."""
        there = self._there(batch)
        return np.concatenate(
            [np.where(there, self._vectors(batch), np.float32("nan")), batch.present], axis=1, dtype=np.float32
        )

    def filled(self, batch: Batch) -> Matrix:
        """As all others take it: (N, columns + streams), standardised, zero where a stream is absent.

        Each stream has about the length one: else one of hundreds of columns would drown one of twenty.
        """
        standard = np.clip((self._vectors(batch) - self.mean) / self.scale, -BOUND, BOUND)
        balanced = standard / np.sqrt(np.array([stream.dim for stream in self.columns], np.float32))
        return np.concatenate([np.where(self._there(batch), balanced, 0), batch.present], axis=1, dtype=np.float32)

    def _vectors(self, batch: Batch) -> Matrix:
        return np.concatenate([batch.vectors[stream.name] for stream in self.streams], axis=1)

    def _there(self, batch: Batch) -> npt.NDArray[np.bool_]:
        return np.repeat(batch.present, [stream.dim for stream in self.streams], axis=1)


@dataclass(frozen=True)
class Rows:
    """N posts: what is known of each, whether it is viral (N,), its standardised score (N,)."""

    batch: Batch
    viral: npt.NDArray[np.bool_]
    score: Floats

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True)
class Crew:
    """Workers that grow the same trees together, each from its own buckets, and this one's place among them.

    Attributes:
        rank: of this worker, from 0.
        size: how many there are.
        rows: the posts that all of them learn from.
        network: how LightGBM finds the others: `machines`, `local_listen_port`, `num_machines`.
        ready: returns when all have called it: LightGBM does not wait long for the others.
    """

    rank: int
    size: int
    rows: int
    network: Mapping[str, str | int]
    ready: Callable[[], None]


@dataclass(frozen=True)
class Source:
    """The posts of one split, or a sample of them that the hash of each post decides.

    Attributes:
        data: where they lie.
        log2_buckets: they are read in 2^log2_buckets buckets.
        split: `train` or `validation`.
        scaling: of the score.
        keep: the share of the posts that is wanted.
        crew: it is one worker's share; None: all of it.
    """

    data: LabelledFeatures
    log2_buckets: int
    split: str
    scaling: Scaling
    keep: float = 1.0
    crew: Crew | None = None

    @property
    def places(self) -> Sequence[int]:
        """The numbers of its buckets."""
        return (
            range(1 << self.log2_buckets)
            if self.crew is None
            else range(self.crew.rank, 1 << self.log2_buckets, self.crew.size)
        )

    def bucket(self, number: int) -> Rows:
        """Its posts in one bucket."""
        table = self.data.read(self.log2_buckets, number, (self.split,))
        if self.keep < 1:
            table = table.filter(
                pa.array([sampled(post, self.keep) for post in table["post_id"].to_pylist()], pa.bool_())
            )
        score = table["target"].to_numpy()
        return Rows(
            from_table(self.data.streams, table),
            table["is_viral"].to_numpy(zero_copy_only=False),
            (score - self.scaling.mean) / self.scaling.scale,
        )

    def all(self) -> Rows:
        """All its posts, in memory."""
        parts = [self.bucket(number) for number in self.places]
        batches = [part.batch for part in parts]
        vectors = {each.name: np.concatenate([b.vectors[each.name] for b in batches]) for each in self.data.streams}
        return Rows(
            Batch(vectors, np.concatenate([batch.present for batch in batches])),
            np.concatenate([part.viral for part in parts]),
            np.concatenate([part.score for part in parts]),
        )


def sampled(post: str, keep: float) -> bool:
    """Whether a post is in the sample: by its own name, so that neither order nor buckets matter."""
    return zlib.crc32(f"ensemble {post}".encode()) < keep * 2**32
