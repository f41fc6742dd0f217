"""Posts as matrices for classical models, read bucket by bucket and sampled if there are too many."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from viral.datasets.labelled_features import LabelledFeatures, RunningMoments
from viral.datasets.streams import Batch, Stream, dense, from_table
from viral.models.fusion_config import MAX_DEVIATION
from viral.models.predictions import Floats
from viral.models.train_config import Scaling

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Layout:
    """Columns of the matrix: the dense streams side by side, then one presence flag per stream.

    `mean` and `scale` are the training split's mean and standard deviation of the dense streams' columns.
    """

    streams: tuple[Stream, ...]
    mean: Matrix
    scale: Matrix

    @classmethod
    def from_moments(cls, streams: tuple[Stream, ...], moments: Mapping[str, RunningMoments]) -> Layout:
        """Build from the statistics of the training split."""
        mean, scale = (
            np.concatenate([getattr(moments[stream.name], name) for stream in dense(streams)]).astype(np.float32)
            for name in ("mean", "scale")
        )
        return cls(streams, mean, scale)

    @cached_property
    def dense(self) -> tuple[Stream, ...]:
        """The streams that are part of the matrix."""
        return dense(self.streams)

    @cached_property
    def columns(self) -> tuple[Stream, ...]:
        """The stream of each column."""
        return tuple(stream for stream in self.dense for _ in range(stream.dim))

    def with_nan(self, batch: Batch) -> Matrix:
        """Build the input of trees (N, columns + streams): raw values, NaN where a stream is absent."""
        present = self._present(batch)
        return np.concatenate(
            [np.where(present, self._vectors(batch), np.float32("nan")), self._flags(batch)], axis=1, dtype=np.float32
        )

    def standardised(self, batch: Batch) -> Matrix:
        """Build the input of other members (N, columns + streams): standardised, zero where a stream is absent.

        Streams are scaled to a length of about one: otherwise hundreds of columns would outweigh twenty.
        """
        standard = np.clip((self._vectors(batch) - self.mean) / self.scale, -MAX_DEVIATION, MAX_DEVIATION)
        balanced = standard / np.sqrt(np.array([stream.dim for stream in self.columns], np.float32))
        values = np.where(self._present(batch), balanced, 0)
        return np.concatenate([values, self._flags(batch)], axis=1, dtype=np.float32)

    def _vectors(self, batch: Batch) -> Matrix:
        vectors = np.concatenate([batch.vectors[stream.name] for stream in self.dense], axis=1)
        vectors[:, np.isinf(self.scale)] = 0  # columns that are left out (`datasets.dates`)
        return vectors

    def _present(self, batch: Batch) -> npt.NDArray[np.bool_]:
        return np.repeat(self._flags(batch), [stream.dim for stream in self.dense], axis=1)

    def _flags(self, batch: Batch) -> npt.NDArray[np.bool_]:
        return batch.present[:, [not stream.sparse for stream in self.streams]]


@dataclass(frozen=True)
class LabelledBatch:
    """Features, virality (N,) and standardised score (N,) of N posts."""

    batch: Batch
    viral: npt.NDArray[np.bool_]
    score: Floats

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True)
class WorkerGroup:
    """Workers that grow the same trees together, each from its own buckets.

    Attributes:
        rank: index of this worker.
        size: number of workers.
        rows: number of training posts of all workers.
        network: LightGBM's network settings: `machines`, `local_listen_port`, `num_machines`.
        barrier: waits until all workers call it, as LightGBM does not wait long for connections.
    """

    rank: int
    size: int
    rows: int
    network: Mapping[str, str | int]
    barrier: Callable[[], None]


@dataclass(frozen=True)
class RowSource:
    """The posts of one split, or a sample of them.

    Attributes:
        data: labelled features.
        log2_buckets: binary logarithm of the number of buckets to read them in.
        split: `train` or `validation`.
        scaling: the units of the score.
        sample_fraction: the fraction of the posts to read.
        group: read only the buckets of this worker; None: all buckets.
    """

    data: LabelledFeatures
    log2_buckets: int
    split: str
    scaling: Scaling
    sample_fraction: float = 1.0
    group: WorkerGroup | None = None

    @property
    def buckets(self) -> Sequence[int]:
        """Buckets to read."""
        count = 1 << self.log2_buckets
        # Every `size`-th bucket: hashes spread the posts evenly, so that workers hold about the same number.
        return range(count) if self.group is None else range(self.group.rank, count, self.group.size)

    def read(self, bucket: int) -> LabelledBatch:
        """Read the posts of one bucket."""
        table = self.data.read(self.log2_buckets, bucket, (self.split,))
        if self.sample_fraction < 1:
            sample = [is_sampled(post_id, self.sample_fraction) for post_id in table["post_id"].to_pylist()]
            table = table.filter(pa.array(sample, pa.bool_()))
        score = table["target"].to_numpy()
        return LabelledBatch(
            from_table(self.data.streams, table),
            table["is_viral"].to_numpy(zero_copy_only=False),
            (score - self.scaling.mean) / self.scaling.scale,
        )

    def read_all(self) -> LabelledBatch:
        """Read all posts into memory."""
        parts = [self.read(bucket) for bucket in self.buckets]
        vectors = {
            stream.name: np.concatenate([part.batch.vectors[stream.name] for part in parts])
            for stream in self.data.streams
        }
        return LabelledBatch(
            Batch(vectors, np.concatenate([part.batch.present for part in parts])),
            np.concatenate([part.viral for part in parts]),
            np.concatenate([part.score for part in parts]),
        )


def is_sampled(post_id: str, fraction: float) -> bool:
    """Whether a post is in the sample, by a hash of its id: independent of order and buckets."""
    return zlib.crc32(f"ensemble {post_id}".encode()) < fraction * 2**32
