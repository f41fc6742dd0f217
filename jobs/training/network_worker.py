"""Ray Train worker that trains a network on a feature table."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from jobs.training.shard import Shard
from jobs.training.state import IN_PROCESS, Progress, report, restore
from viral.models.fusion_config import FusionConfig
from viral.models.train_config import Scaling, TrainConfig

if TYPE_CHECKING:
    import torch

    from viral.models.training import Learner


@dataclass(frozen=True)
class NetworkTask:
    """Input of a worker: `rows` is the size of the training split, `continued_from` the model to start from.

    `edges` are those of the bins of streams of numbers, by name, if the network encodes them.
    """

    model: FusionConfig
    train: TrainConfig
    scaling: Scaling
    means: dict[str, list[float]]
    scales: dict[str, list[float]]
    rows: int
    continued_from: str | None = None
    edges: dict[str, list[list[float]]] = field(default_factory=dict)


def run(config: dict[str, Any]) -> int:
    """Train `config["task"]` from the newest checkpoint of the run, and report every few epochs.

    Without a checkpoint, start from the weights `config["start"]` (safetensors); None: from random weights. Returns the
    number of epochs done before this call.
    """
    import ray.train
    import ray.train.torch

    from viral.models.allocator import retain_freed_memory
    from viral.models.training import Learner, to_tensors

    retain_freed_memory()
    task: NetworkTask = config["task"]
    context = ray.train.get_context()
    world, rank = context.get_world_size(), context.get_world_rank()
    model = _network(task, config["start"])
    # Save a copy of the gradients, and the broadcast of the buffers: the statistics in them never change.
    ddp_options = {"gradient_as_bucket_view": True, "broadcast_buffers": False}
    wrapped = ray.train.torch.prepare_model(model, parallel_strategy_kwargs=ddp_options)
    size = task.train.worker_batch_size(task.rows, world)
    steps = -(-(task.rows // world) // size)  # per epoch
    learner = Learner(wrapped, task.train, steps * task.train.epochs)
    state = restore(model, learner)
    learner.seek(state.epoch * steps)  # recomputed: the number of workers may have changed
    resumed_at = state.epoch
    tensors = partial(to_tensors, task.model.streams, scaling=task.scaling, device=learner.device)
    # Each worker trains on its own part of the posts, and validates on all of them.
    shard = Shard.from_iterator(ray.train.get_dataset_shard("train"), tensors)
    validation = Shard.from_iterator(ray.train.get_dataset_shard("validation"), tensors)
    # A streamed epoch takes so long that each one is worth a checkpoint.
    interval = task.train.report_every if shard.cached is not None else 1
    while not state.finished(task.train):
        epoch(learner, model, shard, validation, size, state, rank)
        if state.finished(task.train) or (state.epoch % interval == 0 and not config[IN_PROCESS]):
            report(model, learner, state, rank)
    return resumed_at


def _network(task: NetworkTask, start: bytes | None) -> torch.nn.Module:
    """Build the network with the weights `start` (safetensors), or with random ones by the seed of the task."""
    import torch
    from safetensors.torch import load

    from viral.models.fusion import set_statistics
    from viral.models.networks import network

    torch.manual_seed(task.train.seed)
    model = network(task.model)
    set_statistics(model, task.means, task.scales, task.edges)
    if start is not None:
        model.load_state_dict(load(start))
    return model


def epoch(
    learner: Learner, model: torch.nn.Module, shard: Shard, validation: Shard, size: int, state: Progress, rank: int = 0
) -> None:
    """Train one epoch in batches of `size`, and validate. All random numbers depend on seed, epoch and rank alone."""
    import torch

    seed = learner.config.seed
    # A shift per number, so that no two epochs or workers of a run share a seed.
    torch.manual_seed((seed << 20) + (state.epoch << 8) + rank)  # a resumed run has the same dropout
    start = time.perf_counter()
    train_loss = learner.train(shard.shuffled(size, (seed, state.epoch, rank)))
    state.seconds += time.perf_counter() - start
    state.record_epoch(model, train_loss, learner.validate(validation.ordered()))
