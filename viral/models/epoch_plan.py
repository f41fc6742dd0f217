"""The posts of each worker in an epoch, and their order: a function of the seed that all workers compute alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CHUNK = 8  # posts decoded by one task: some seconds of work, some MB of clips


@dataclass(frozen=True)
class ClipChunk:
    """Posts `start` to `stop` of a bucket, in the bucket's order of the epoch."""

    bucket: int
    start: int
    stop: int


def training_chunks(counts: Sequence[int], seed: int, epoch: int, rank: int, world: int) -> list[ClipChunk]:
    """A worker's part of a training epoch. All parts have the same size, so that all workers take the same steps.

    Up to `world - 1` posts are skipped, different ones in each epoch.

    Args:
        counts: the number of posts of each bucket.
        seed: of the training.
        epoch: its index.
        rank: of the worker.
        world: the number of workers.
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(counts))
    size = sum(counts) // world
    return _chunks(counts, order, rank * size, (rank + 1) * size)


def validation_chunks(counts: Sequence[int], rank: int, world: int) -> list[ClipChunk]:
    """A worker's part of a split, in order; the parts of all workers cover the split."""
    total = sum(counts)
    return _chunks(counts, np.arange(len(counts)), rank * total // world, (rank + 1) * total // world)


def epoch_order(posts: int, bucket: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """The order (posts,) of a bucket's posts in a training epoch."""
    return np.random.default_rng((seed, epoch, bucket)).permutation(posts)


def _chunks(counts: Sequence[int], order: npt.NDArray[np.int64], begin: int, end: int) -> list[ClipChunk]:
    """Posts `begin` to `end` of all buckets in this order."""
    chunks, before = [], 0
    for bucket in map(int, order):
        first, stop = max(0, begin - before), min(counts[bucket], end - before)
        chunks += [ClipChunk(bucket, start, min(stop, start + CHUNK)) for start in range(first, stop, CHUNK)]
        before += counts[bucket]
    return chunks
