"""What each worker of Ray Train runs to train a network on a feature table."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from jobs.training.shard import Shard
from jobs.training.state import Progress, report, restore
from viral.models.fusion_config import FusionConfig
from viral.models.train_config import Scaling, TrainConfig

if TYPE_CHECKING:
    import torch

    from viral.models.training import Learner


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

    from viral.models.allocator import keep_freed_memory
    from viral.models.fusion import set_statistics
    from viral.models.networks import network
    from viral.models.training import Learner, tensors_of

    keep_freed_memory()
    task: NetworkTask = config["task"]
    context = ray.train.get_context()
    world, rank = context.get_world_size(), context.get_world_rank()
    torch.manual_seed(task.train.seed)
    model = network(task.model)
    set_statistics(model, task.means, task.scales)
    if config["start"] is not None:
        model.load_state_dict(load(config["start"]))
    # Gradients lie in the buffers that travel, without a copy; the statistics of the streams never change.
    quick = {"gradient_as_bucket_view": True, "broadcast_buffers": False}
    wrapped = ray.train.torch.prepare_model(model, parallel_strategy_kwargs=quick)
    size = task.train.batch(task.rows, world)
    steps = -(-(task.rows // world) // size)  # an epoch
    learner = Learner(wrapped, task.train, steps * task.train.epochs)
    state = restore(model, learner)
    learner.at(state.epoch * steps)  # counted anew: the number of workers may have changed
    began = state.epoch
    tensors = partial(tensors_of, task.model.streams, scaling=task.scaling, device=learner.device)
    shard = Shard.of(ray.train.get_dataset_shard("train"), tensors)
    held = Shard.of(ray.train.get_dataset_shard("validation"), tensors)
    every = task.train.report_every if shard.cached is not None else 1
    while not state.over(task.train):
        epoch(learner, model, shard, held, size, state, rank)
        if state.epoch % every == 0 or state.over(task.train):
            report(model, learner, state, rank)
    return began


def epoch(
    learner: Learner, model: torch.nn.Module, shard: Shard, held: Shard, size: int, state: Progress, rank: int = 0
) -> None:
    """One more epoch of `model`, in batches of `size`; what is random in it is decided by seed, epoch and rank."""
    import torch

    seed = learner.config.seed
    torch.manual_seed((seed << 20) + (state.epoch << 8) + rank)  # of dropout: the same after a resume
    begun = time.perf_counter()
    train_loss = learner.train(shard.shuffled(size, (seed, state.epoch, rank)))
    state.seconds += time.perf_counter() - begun
    state.add(model, train_loss, learner.validate(held.ordered()))
