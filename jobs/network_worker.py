"""What each worker of Ray Train runs to train a network on a feature table."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from viral.models.fusion import FusionConfig
from viral.models.train_config import Scaling, TrainConfig

if TYPE_CHECKING:
    import torch
    from ray.data import DataIterator

    from viral.models.training import Learner, Tensors

CACHE_BYTES = 512 << 20  # a shard up to this size is streamed once and kept; a larger one is streamed every epoch
SHUFFLE_ROWS = 8192  # of the window that a streamed shard is shuffled in
STATE = "state.pt"


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
    state = _restore(model, learner)
    began = state.epoch
    shard = _Shard(ray.train.get_dataset_shard("train"), task, size, learner.device, rank)
    held = _Shard(ray.train.get_dataset_shard("validation"), task, size, learner.device, rank)
    every = task.train.report_every if shard.cached is not None else 1
    while not state.over(task.train):
        torch.manual_seed((task.train.seed << 20) + (state.epoch << 8) + rank)  # of dropout: the same after a resume
        train_loss = learner.train(shard.shuffled(state.epoch))
        state.add(model, train_loss, learner.validate(held.ordered()))
        if state.epoch % every == 0 or state.over(task.train):
            _report(model, learner, state, rank)
    return began


@dataclass
class _State:
    """How far training is: epochs done, the losses of each, and the best weights so far."""

    epoch: int = 0
    best_epoch: int = 0
    losses: list[list[float]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)

    def over(self, config: TrainConfig) -> bool:
        """All epochs are done, or the last `patience` of them were no better."""
        return self.epoch >= config.epochs or self.epoch - self.best_epoch > config.patience

    def add(self, model: torch.nn.Module, train_loss: float, validation_loss: float) -> None:
        """One more epoch."""
        before = min((each for _, each in self.losses), default=float("inf"))
        self.epoch += 1
        self.losses.append([train_loss, validation_loss])
        if validation_loss < before or not self.best:
            self.best_epoch = self.epoch
            self.best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _restore(model: torch.nn.Module, learner: Learner) -> _State:
    import ray.train
    import torch

    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return _State()
    with checkpoint.as_directory() as folder:
        saved = torch.load(Path(folder, STATE), map_location=learner.device, weights_only=True)
    model.load_state_dict(saved["model"])
    learner.load(saved["learner"])
    return _State(**saved["state"])


def _report(model: torch.nn.Module, learner: Learner, state: _State, rank: int) -> None:
    """All ranks report, as Ray Train wants it; the first one saves."""
    import ray.train
    import torch

    train_loss, validation_loss = state.losses[-1]
    metrics = {"epoch": state.epoch, "train_loss": train_loss, "validation_loss": validation_loss}
    if rank != 0:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory(prefix="viral-checkpoint-") as folder:
        saved = {"model": model.state_dict(), "learner": learner.state(), "state": vars(state)}
        torch.save(saved, Path(folder, STATE))
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


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
