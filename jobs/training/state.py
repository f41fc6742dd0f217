"""Training of a network by Ray Train: run, progress and checkpoints."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import viral
from jobs.runtime.session import connect
from jobs.training.options import Workers, min_workers
from viral.storage.store import Store

if TYPE_CHECKING:
    import torch
    from ray.train import Result, RunConfig

STATE = "state.pt"
IN_PROCESS = "in_process"  # key of a worker's config: no Ray Train worker, whose checkpoints Ray would store
WORKER_CPUS = 0.9  # leaves a tenth of each core to the tasks that read the data


class StoppingCriteria(Protocol):
    """Settings that decide when training ends."""

    @property
    def epochs(self) -> int:
        """Maximum number of epochs."""

    @property
    def patience(self) -> int:
        """Early-stopping patience, in epochs."""


class Checkpointable(Protocol):
    """Training state besides the network: the optimiser and its schedule."""

    device: torch.device

    def state(self) -> dict[str, Any]:
        """Return the state as tensors and plain values only."""

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state`."""


@dataclass
class Progress:
    """Progress of a training run; checkpoints store the fields by name.

    Attributes:
        losses: training and validation loss of each epoch.
        best: state dict of the best epoch.
        seconds: time spent in training steps.
        skipped: number of unusable posts in the last epoch, by reason.
    """

    epoch: int = 0
    best_epoch: int = 0
    losses: list[list[float]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    skipped: dict[str, int] = field(default_factory=dict)

    def finished(self, config: StoppingCriteria) -> bool:
        """Return whether all epochs are done, or the last `patience` of them brought no improvement."""
        return self.epoch >= config.epochs or self.epoch - self.best_epoch > config.patience

    def record_epoch(self, model: torch.nn.Module, train_loss: float, validation_loss: float) -> None:
        """Add an epoch, and copy the weights if it is the best so far."""
        best_loss = min((loss for _, loss in self.losses), default=float("inf"))
        self.epoch += 1
        self.losses.append([train_loss, validation_loss])
        # The first epoch is kept in any case: a loss that is NaN is never smaller.
        if validation_loss < best_loss or not self.best:
            self.best_epoch = self.epoch
            self.best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def restore(model: torch.nn.Module, learner: Checkpointable) -> Progress:
    """Load the newest checkpoint of the run into model and learner, if there is one."""
    import ray.train
    import torch

    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return Progress()
    with checkpoint.as_directory() as folder:
        # weights_only: a checkpoint lies in shared storage, and a full unpickling could run code from there.
        saved = torch.load(Path(folder, STATE), map_location=learner.device, weights_only=True)
    model.load_state_dict(saved["model"])
    learner.load(saved["learner"])
    return Progress(**saved["state"])


def report(model: torch.nn.Module, learner: Checkpointable, state: Progress, rank: int) -> None:
    """Report the last epoch from every rank, as Ray Train requires; rank 0 uploads a checkpoint in the background."""
    import ray.train
    import torch

    train_loss, validation_loss = state.losses[-1]
    metrics = {"epoch": state.epoch, "train_loss": train_loss, "validation_loss": validation_loss}
    checkpoint = None
    # Every rank has the same weights, so one copy is enough.
    if rank == 0:
        folder = tempfile.mkdtemp(prefix="viral-checkpoint-")  # Ray deletes it after the upload
        saved = {"model": model.state_dict(), "learner": learner.state(), "state": vars(state)}
        torch.save(saved, Path(folder, STATE))
        checkpoint = ray.train.Checkpoint.from_directory(folder)
    # A checkpoint counts once its upload is complete, and Ray waits for the last upload before it ends the run.
    ray.train.report(metrics, checkpoint=checkpoint, checkpoint_upload_mode=ray.train.CheckpointUploadMode.ASYNC)


def run_identity(*parts: Any) -> str:
    """Hash the data and settings of a run, to name it: a restarted command finds its checkpoints by that name."""
    return hashlib.sha256(json.dumps([*parts, viral.__version__], sort_keys=True).encode()).hexdigest()[:12]


def fit(
    store: Store,
    prefix: str,
    worker: Callable[[dict[str, Any]], int],
    workers: Workers,
    config: dict[str, Any],
    **options: Any,
) -> Result:
    """Run `worker(config)` on each worker by Ray Train, with a GPU per worker if the cluster has enough.

    With 0 workers it runs in this process.
    """
    import ray
    from ray.train import ScalingConfig
    from ray.train.torch import TorchTrainer

    connect()
    if workers == 0:
        scaling = ScalingConfig(num_workers=0)
    else:
        # A GPU for every worker or for none: in each step all wait for the slowest.
        gpus = bool(ray.cluster_resources().get("GPU", 0) >= min_workers(workers))
        scaling = ScalingConfig(num_workers=workers, use_gpu=gpus, resources_per_worker={"CPU": WORKER_CPUS})
    run, config = run_config(store, prefix), {**config, IN_PROCESS: workers == 0}
    return TorchTrainer(worker, train_loop_config=config, scaling_config=scaling, run_config=run, **options).fit()


def run_config(store: Store, prefix: str) -> RunConfig:
    """Configure Ray Train to store a run below `prefix` of the root, and to restart failed workers."""
    from ray.train import CheckpointConfig, FailureConfig, RunConfig

    folder, _, name = prefix.rpartition("/")
    return RunConfig(
        name=name,
        storage_path=store.path(folder),
        storage_filesystem=store.filesystem,
        failure_config=FailureConfig(max_failures=3),  # a lost node or two; a bug in the code still fails soon
        checkpoint_config=CheckpointConfig(num_to_keep=1),  # the newest: it also contains the best weights so far
    )


def final_checkpoint(result: Result) -> dict[str, Any]:
    """Load the last checkpoint of a run: `model`, `learner`, and the progress as `state`."""
    import torch

    with result.checkpoint.as_directory() as folder:
        saved: dict[str, Any] = torch.load(Path(folder, STATE), map_location="cpu", weights_only=True)
    if result.path is None:  # the run had no worker, so Ray stored nothing
        shutil.rmtree(result.checkpoint.path)
    return saved
