"""What each worker of Ray Train runs to train a network on a feature table."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.shard import Shard
from viral.models.fusion import FusionConfig
from viral.models.train_config import Scaling, TrainConfig

if TYPE_CHECKING:
    import torch

    from viral.models.training import Learner

STATE = "state.pt"


@dataclass(frozen=True)
class NetworkTask:
    """All that a worker needs to know. `rows` counts the training split."""

    model: FusionConfig
    train: TrainConfig
    scaling: Scaling
    means: dict[str, list[float]]
    scales: dict[str, list[float]]
    rows: int


def run(config: dict[str, Any]) -> int:
    """Train for `config["task"]`, from the run's newest checkpoint where there is one; report every few epochs.

    Returns:
        The number of epochs that were done already when it began.
    """
    import ray.train
    import ray.train.torch
    import torch

    from viral.models.fusion import set_statistics
    from viral.models.networks import network
    from viral.models.training import Learner, tensors_of

    task: NetworkTask = config["task"]
    context = ray.train.get_context()
    world, rank = context.get_world_size(), context.get_world_rank()
    torch.manual_seed(task.train.seed)
    model = network(task.model)
    set_statistics(model, task.means, task.scales)
    # Gradients lie in the buffers that travel, without a copy; the statistics of the streams never change.
    quick = {"gradient_as_bucket_view": True, "broadcast_buffers": False}
    wrapped = ray.train.torch.prepare_model(model, parallel_strategy_kwargs=quick)
    size = task.train.batch(task.rows, world)
    steps = -(-(task.rows // world) // size)  # an epoch
    learner = Learner(wrapped, task.train, steps * task.train.epochs)
    state = _restore(model, learner)
    learner.at(state.epoch * steps)  # counted anew: the number of workers may have changed
    began = state.epoch
    tensors = partial(tensors_of, task.model.streams, scaling=task.scaling, device=learner.device)
    shard = Shard.of(ray.train.get_dataset_shard("train"), tensors)
    held = Shard.of(ray.train.get_dataset_shard("validation"), tensors)
    every = task.train.report_every if shard.cached is not None else 1
    while not state.over(task.train):
        epoch(learner, model, shard, held, size, state, rank)
        if state.epoch % every == 0 or state.over(task.train):
            _report(model, learner, state, rank)
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


@dataclass
class Progress:
    """How far training is: epochs done, the losses of each, the best weights so far, and seconds spent on steps."""

    epoch: int = 0
    best_epoch: int = 0
    losses: list[list[float]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

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


def _restore(model: torch.nn.Module, learner: Learner) -> Progress:
    import ray.train
    import torch

    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return Progress()
    with checkpoint.as_directory() as folder:
        saved = torch.load(Path(folder, STATE), map_location=learner.device, weights_only=True)
    model.load_state_dict(saved["model"])
    learner.load(saved["learner"])
    return Progress(**saved["state"])


def _report(model: torch.nn.Module, learner: Learner, state: Progress, rank: int) -> None:
    """All ranks report, as Ray Train wants it; the first one saves, and goes on while that is uploaded."""
    import ray.train
    import torch

    train_loss, validation_loss = state.losses[-1]
    metrics = {"epoch": state.epoch, "train_loss": train_loss, "validation_loss": validation_loss}
    checkpoint = None
    if rank == 0:
        folder = tempfile.mkdtemp(prefix="viral-checkpoint-")  # Ray deletes it when it is uploaded
        saved = {"model": model.state_dict(), "learner": learner.state(), "state": vars(state)}
        torch.save(saved, Path(folder, STATE))
        checkpoint = ray.train.Checkpoint.from_directory(folder)
    # Ray names a checkpoint in its snapshot once it is uploaded whole, and ends no run before its last one is.
    ray.train.report(metrics, checkpoint=checkpoint, checkpoint_upload_mode=ray.train.CheckpointUploadMode.ASYNC)
