"""Which posts each worker trains on in an epoch, in which order: decided by the seed alone, known to all workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CHUNK = 8  # posts that are decoded by one task: some seconds of work, some MB of clips


@dataclass(frozen=True)
class ClipChunk:
    """The posts `start` to `stop` of a bucket, in the order that the bucket has in that epoch."""

    bucket: int
    start: int
    stop: int


def training_chunks(counts: Sequence[int], seed: int, epoch: int, rank: int, world: int) -> list[ClipChunk]:
    """A worker's part of an epoch: as many posts as every other's, so that all make the same number of steps.

    Up to `world - 1` posts are left out, others each epoch.

    Args:
        counts: posts of each bucket.
        seed: of the training.
        epoch: which one.
        rank: of the worker.
        world: how many workers there are.
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(counts))
    each = sum(counts) // world
    return _between(counts, order, rank * each, (rank + 1) * each)


def validation_chunks(counts: Sequence[int], rank: int, world: int) -> list[ClipChunk]:
    """A worker's part of a split that is read in order: all workers' together are all of its posts."""
    total = sum(counts)
    return _between(counts, np.arange(len(counts)), rank * total // world, (rank + 1) * total // world)


def order_of(posts: int, bucket: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """The order (posts,) of a bucket's posts in a training epoch."""
    return np.random.default_rng((seed, epoch, bucket)).permutation(posts)


def _between(counts: Sequence[int], order: npt.NDArray[np.int64], begin: int, end: int) -> list[ClipChunk]:
    chunks, before = [], 0
    for bucket in map(int, order):
        start, stop = max(0, begin - before), min(counts[bucket], end - before)
        chunks += [ClipChunk(bucket, at, min(stop, at + CHUNK)) for at in range(start, stop, CHUNK)]
        before += counts[bucket]
    return chunks
