"""One worker's part of a split, as batches of tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

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
        source: where it comes from.
        tensors: turns rows into tensors; that costs more than a step of training, so it is done once where they fit.
    """

    def __init__(self, source: DataIterator, tensors: Callable[[pa.Table], Tensors]) -> None:
        self.source, self.tensors = source, tensors
        self.cached = self._cache()

    def ordered(self) -> Iterator[Tensors]:
        """All rows in order, as every worker sees them."""
        if self.cached is None:
            yield from map(self.tensors, self.source.iter_batches(batch_size=VALIDATION_ROWS, batch_format="pyarrow"))
            return
        for start in range(0, self.cached.rows, VALIDATION_ROWS):
            yield self.cached.take(slice(start, start + VALIDATION_ROWS))

    def shuffled(self, size: int, seed: Sequence[int]) -> Iterator[Tensors]:
        """All rows in an order that the seed decides, in batches of `size`."""
        random = np.random.default_rng(seed)
        if self.cached is None:
            yield from map(self.tensors, self._streamed(size, int(random.integers(1 << 31))))
            return
        import torch

        order = torch.from_numpy(random.permutation(self.cached.rows)).to(self.cached.present.device)
        for start in range(0, len(order), size):
            yield self.cached.take(order[start : start + size])

    def _streamed(self, size: int, seed: int) -> Iterator[pa.Table]:
        yield from self.source.iter_batches(
            batch_size=size,
            batch_format="pyarrow",
            local_shuffle_buffer_size=SHUFFLE_ROWS,
            local_shuffle_seed=seed,
        )

    def _cache(self) -> Tensors | None:
        """The shard in memory; None where it is empty, or too large and must be streamed every epoch."""
        from viral.models.training import together

        kept, size = [], 0
        for rows in self.source.iter_batches(batch_size=READ_ROWS, batch_format="pyarrow"):
            kept.append(self.tensors(rows))
            size += kept[-1].bytes
            if size > CACHE_BYTES:
                return None
        return together(kept) if kept else None
