"""One worker's shard of a split, as batches of tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from ray.data import DataIterator

    from viral.models.training import TensorBatch

CACHE_BYTES = 1 << 30  # 1 GiB of tensors per worker: bounds memory; a larger shard is streamed anew each epoch
SHUFFLE_ROWS = 8192  # window in which a streamed shard is shuffled; bounds memory
READ_ROWS = 4096  # per batch while the cache is filled; bounds memory
VALIDATION_ROWS = 1024  # per validation batch; bounds memory without changing the loss


class Shard:
    """One worker's shard of a split.

    Args:
        cached: the whole shard in memory; None if it is empty or too large.
        source: streams the shard if it is not cached; called each epoch, with options of `DataIterator.iter_batches`.
    """

    def __init__(self, cached: TensorBatch | None, source: Callable[..., Iterator[TensorBatch]]) -> None:
        self.cached, self.source = cached, source

    @classmethod
    def from_iterator(cls, source: DataIterator, tensors: Callable[[pa.Table], TensorBatch]) -> Shard:
        """Cache the shard if it fits in `CACHE_BYTES`, else stream it.

        Args:
            source: the worker's rows.
            tensors: converts rows to tensors, which takes longer than a training step: hence the cache.
        """

        def stream(**options: Any) -> Iterator[TensorBatch]:
            """Read the shard anew, as tensors."""
            return map(tensors, source.iter_batches(batch_format="pyarrow", **options))

        return cls(_cache(stream(batch_size=READ_ROWS)), stream)

    def ordered(self) -> Iterator[TensorBatch]:
        """Yield all rows, in the order of the dataset."""
        if self.cached is None:
            yield from self.source(batch_size=VALIDATION_ROWS)
            return
        for start in range(0, self.cached.rows, VALIDATION_ROWS):
            yield self.cached.take(slice(start, start + VALIDATION_ROWS))

    def shuffled(self, size: int, seed: Sequence[int]) -> Iterator[TensorBatch]:
        """Yield all rows in batches of `size`, shuffled by `seed`; a streamed shard is shuffled within a window."""
        # From seed, epoch and rank alone: a resumed run shuffles as the first one would have.
        rng = np.random.default_rng(seed)
        if self.cached is None:
            window = {"local_shuffle_buffer_size": SHUFFLE_ROWS, "local_shuffle_seed": int(rng.integers(1 << 31))}
            yield from self.source(batch_size=size, **window)
            return
        import torch

        order = torch.from_numpy(rng.permutation(self.cached.rows)).to(self.cached.present.device)
        for start in range(0, len(order), size):
            yield self.cached.take(order[start : start + size])


def _cache(batches: Iterator[TensorBatch]) -> TensorBatch | None:
    from viral.models.training import concat

    cached, size = [], 0
    for batch in batches:
        cached.append(batch)
        size += batch.bytes
        # What was read so far is dropped: half a cache would need both ways of reading.
        if size > CACHE_BYTES:
            return None
    return concat(cached) if cached else None
