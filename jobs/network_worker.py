"""What each worker of Ray Train runs to train a network on a feature table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jobs.training_state import report, restore
from viral.models.fusion import FusionConfig
from viral.models.train_config import Scaling, TrainConfig

if TYPE_CHECKING:
    import torch
    from ray.data import DataIterator

    from viral.models.training import Tensors

CACHE_BYTES = 512 << 20  # a shard up to this size is streamed once and kept; a larger one is streamed every epoch
SHUFFLE_ROWS = 8192  # of the window that a streamed shard is shuffled in


@dataclass(frozen=True)
class NetworkTask:
    """All that a worker needs to know. `rows` counts the training split, `continued_from` names a saved model."""

    model: FusionConfig
    train: TrainConfig
    scaling: Scaling
    means: dict[str, list[float]]
    scales: dict[str, list[float]]
    rows: int
    continued_from: str | None = None


def run(config: dict[str, Any]) -> int:
    """Train for `config["task"]`, from the run's newest checkpoint where there is one; report every few epochs.

    A new run begins with the weights `config["start"]` (safetensors) where there are any, else at random.

    Returns:
        The number of epochs that were done already when it began.
    """
    import ray.train
    import ray.train.torch
    import torch
    from safetensors.torch import load

    from viral.models.fusion import set_statistics
    from viral.models.networks import network
    from viral.models.training import Learner

    task: NetworkTask = config["task"]
    context = ray.train.get_context()
    world, rank = context.get_world_size(), context.get_world_rank()
    torch.manual_seed(task.train.seed)
    model = network(task.model)
    set_statistics(model, task.means, task.scales)
    if config["start"] is not None:
        model.load_state_dict(load(config["start"]))
    wrapped = ray.train.torch.prepare_model(model)
    size = task.train.batch(task.rows, world)
    steps = -(-(task.rows // world) // size) * task.train.epochs
    learner = Learner(wrapped, task.train, steps)
    state = restore(model, learner)
    began = state.epoch
    shard = _Shard(ray.train.get_dataset_shard("train"), task, size, learner.device, rank)
    held = _Shard(ray.train.get_dataset_shard("validation"), task, size, learner.device, rank)
    every = task.train.report_every if shard.cached is not None else 1
    while not state.over(task.train):
        torch.manual_seed((task.train.seed << 20) + (state.epoch << 8) + rank)  # of dropout: the same after a resume
        train_loss = learner.train(shard.shuffled(state.epoch))
        state.add(model, train_loss, learner.validate(held.ordered()))
        if state.epoch % every == 0 or state.over(task.train):
            report(model, learner, state, rank)
    return began


class _Shard:
    """One worker's part of a split, as batches of tensors."""

    def __init__(self, source: DataIterator, task: NetworkTask, size: int, device: torch.device, rank: int) -> None:
        self.source, self.task, self.size, self.device, self.rank = source, task, size, device, rank
        self.cached = _cached(source)

    def ordered(self) -> Iterator[Tensors]:
        """All rows in order, as every worker sees them."""
        size = 1024
        if self.cached is None:
            yield from self._tensors(self.source.iter_batches(batch_size=size, batch_format="pyarrow"))
        else:
            rows = self.cached
            yield from self._tensors(rows.slice(start, size) for start in range(0, rows.num_rows, size))

    def shuffled(self, epoch: int) -> Iterator[Tensors]:
        """All rows in an order that seed, epoch and rank decide."""
        import numpy as np

        size, seed = self.size, (self.task.train.seed, epoch, self.rank)
        random = np.random.default_rng(seed)
        if self.cached is None:
            yield from self._tensors(
                self.source.iter_batches(
                    batch_size=size,
                    batch_format="pyarrow",
                    local_shuffle_buffer_size=SHUFFLE_ROWS,
                    local_shuffle_seed=int(random.integers(1 << 31)),
                )
            )
        else:
            order = random.permutation(self.cached.num_rows)
            rows = self.cached
            yield from self._tensors(rows.take(order[start : start + size]) for start in range(0, len(order), size))

    def _tensors(self, batches: Iterable[pa.Table]) -> Iterator[Tensors]:
        from viral.models.training import tensors_of

        for batch in batches:
            yield tensors_of(self.task.model.streams, batch, self.task.scaling, self.device)


def _cached(source: DataIterator) -> pa.Table | None:
    """The shard in memory; None where it is too large, and must be streamed every epoch."""
    kept, size = [], 0
    for batch in source.iter_batches(batch_size=4096, batch_format="pyarrow"):
        size += batch.nbytes
        if size > CACHE_BYTES:
            return None
        kept.append(batch)
    return pa.concat_tables(kept).combine_chunks() if kept else None
