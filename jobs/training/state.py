"""How far the training of a network is, and how Ray Train keeps it in checkpoints."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from viral.storage.store import Store

if TYPE_CHECKING:
    import torch
    from ray.train import Result, RunConfig

STATE = "state.pt"


class Schedule(Protocol):
    """When to end."""

    @property
    def epochs(self) -> int:
        """At most so many."""

    @property
    def patience(self) -> int:
        """Of these, at most so many that are no better than the best."""


class Learner(Protocol):
    """What learns, besides the network itself: an optimiser and its schedule."""

    device: torch.device

    def state(self) -> dict[str, Any]:
        """All that is needed to go on: tensors and plain values only."""

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""


@dataclass
class Progress:
    """How far training is: epochs done, the losses of each, the best weights so far, and seconds spent on steps.

    `skipped` counts, by reason, the posts that gave the last epoch nothing to learn from.
    """

    epoch: int = 0
    best_epoch: int = 0
    losses: list[list[float]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    skipped: dict[str, int] = field(default_factory=dict)

    def over(self, config: Schedule) -> bool:
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


def restore(model: torch.nn.Module, learner: Learner) -> Progress:
    """Go on from the run's newest checkpoint, where there is one."""
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


def report(model: torch.nn.Module, learner: Learner, state: Progress, rank: int) -> None:
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


def kept_at(store: Store, place: str) -> RunConfig:
    """How Ray Train keeps a run below a root, and how often it takes up what died."""
    from ray.train import CheckpointConfig, FailureConfig, RunConfig

    folder, _, name = place.rpartition("/")
    return RunConfig(
        name=name,
        storage_path=store.path(folder),
        storage_filesystem=store.filesystem,
        failure_config=FailureConfig(max_failures=3),
        checkpoint_config=CheckpointConfig(num_to_keep=1),  # it holds the best weights beside the newest
    )


def last_state(result: Result) -> dict[str, Any]:
    """What `report` saved last: `model`, `learner`, and the progress as `state`."""
    import torch

    with result.checkpoint.as_directory() as folder:
        saved: dict[str, Any] = torch.load(Path(folder, STATE), map_location="cpu", weights_only=True)
    return saved
