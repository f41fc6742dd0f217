"""Which posts each worker reads in an epoch, and in which order; every worker computes it from the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CHUNK = 8  # posts decoded by one task: a few seconds of work, a few MB of clips


@dataclass(frozen=True)
class ClipChunk:
    """Posts `start` to `stop` of a bucket, in the order of `epoch_order`."""

    bucket: int
    start: int
    stop: int


def training_chunks(counts: Sequence[int], seed: int, epoch: int, rank: int, world: int) -> list[ClipChunk]:
    """Select a worker's part of a training epoch, from the number of posts of each bucket.

    All parts have the same size, so that all workers take the same number of steps. Up to `world - 1` posts are
    skipped, different ones in each epoch.
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(counts))
    # Rounded down, since every worker must take part in the exchange of gradients of every step.
    size = sum(counts) // world
    return _chunks(counts, order, rank * size, (rank + 1) * size)


def validation_chunks(counts: Sequence[int], rank: int, world: int) -> list[ClipChunk]:
    """Select a worker's part of a split, in order; the parts of all workers cover the split."""
    total = sum(counts)
    return _chunks(counts, np.arange(len(counts)), rank * total // world, (rank + 1) * total // world)


def epoch_order(posts: int, bucket: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Draw the order (posts,) of a bucket's posts in a training epoch."""
    return np.random.default_rng((seed, epoch, bucket)).permutation(posts)


def _chunks(counts: Sequence[int], order: npt.NDArray[np.int64], begin: int, end: int) -> list[ClipChunk]:
    """Cut posts `begin` to `end` of the buckets in this order into chunks."""
    # `offset`: posts of the epoch before this bucket.
    chunks, offset = [], 0
    for bucket in map(int, order):
        # The part of this bucket that lies between `begin` and `end` of the epoch.
        first, stop = max(0, begin - offset), min(counts[bucket], end - offset)
        chunks += [ClipChunk(bucket, start, min(stop, start + CHUNK)) for start in range(first, stop, CHUNK)]
        offset += counts[bucket]
    return chunks
