"""One worker's part of a split, as batches of tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from ray.data import DataIterator

    from viral.models.training import Tensors

CACHE_BYTES = 1 << 30  # of tensors: a shard up to this size is streamed once and kept; a larger one every epoch
SHUFFLE_ROWS = 8192  # of the window that a streamed shard is shuffled in
READ_ROWS = 4096
VALIDATION_ROWS = 1024


class Shard:
    """One worker's part of a split.

    Args:
        cached: all of it in memory; None where it is empty, or too large.
        source: where it is streamed from then, every epoch.
    """

    def __init__(self, cached: Tensors | None, source: Callable[..., Iterator[Tensors]]) -> None:
        self.cached, self.source = cached, source

    @classmethod
    def of(cls, source: DataIterator, tensors: Callable[[pa.Table], Tensors]) -> Shard:
        """What Ray Data gives a worker.

        Args:
            source: as rows.
            tensors: of rows; that costs more than a step of training, so it is done once where they fit.
        """

        def streamed(**how: Any) -> Iterator[Tensors]:
            return map(tensors, source.iter_batches(batch_format="pyarrow", **how))

        return cls(_cached(streamed(batch_size=READ_ROWS)), streamed)

    def ordered(self) -> Iterator[Tensors]:
        """All rows in order, as every worker sees them."""
        if self.cached is None:
            yield from self.source(batch_size=VALIDATION_ROWS)
            return
        for start in range(0, self.cached.rows, VALIDATION_ROWS):
            yield self.cached.take(slice(start, start + VALIDATION_ROWS))

    def shuffled(self, size: int, seed: Sequence[int]) -> Iterator[Tensors]:
        """All rows in an order that the seed decides, in batches of `size`."""
        random = np.random.default_rng(seed)
        if self.cached is None:
            mixed = {"local_shuffle_buffer_size": SHUFFLE_ROWS, "local_shuffle_seed": int(random.integers(1 << 31))}
            yield from self.source(batch_size=size, **mixed)
            return
        import torch

        order = torch.from_numpy(random.permutation(self.cached.rows)).to(self.cached.present.device)
        for start in range(0, len(order), size):
            yield self.cached.take(order[start : start + size])


def _cached(batches: Iterator[Tensors]) -> Tensors | None:
    from viral.models.training import together

    kept, size = [], 0
    for batch in batches:
        kept.append(batch)
        size += batch.bytes
        if size > CACHE_BYTES:
            return None
    return together(kept) if kept else None
