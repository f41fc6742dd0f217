"""Loss curves of trainings: TensorBoard files next to the model and, if configured, a run in MLflow."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viral.errors import ConfigError
from viral.storage.store import Store, one_line
from viral.tracking.mlflow_client import connect, redact

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "viral"
ADDRESS_TAG = "viral.address"  # tag of a run with the address of its model's files
CURVES = ("loss/train", "loss/validation")
MAX_METRICS, MAX_PARAMS, MAX_LENGTH = 1000, 100, 500  # MLflow's limits: per request, and characters of a parameter


@dataclass(frozen=True)
class Tracking:
    """Destinations of curves besides `models/NAME/VERSION/curves/` in the root, where they are always written.

    Args:
        mlflow: address of a tracking server or its database.
        tensorboard: folder, for one subfolder per model.
    """

    mlflow: str | None = None
    tensorboard: Path | None = None

    def check(self) -> None:
        """Raise ConfigError if a destination is not writable; call it before training."""
        if self.mlflow:
            with connect(self.mlflow, f"MLflow at {redact(self.mlflow)} stores no curves") as client:
                _experiment(client)
        if self.tensorboard:
            try:
                self.tensorboard.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"cannot write to {self.tensorboard}: {one_line(error)}") from error

    def log(self, store: Store, name: str, version: int, card: Mapping[str, Any]) -> None:
        """Write the curves of a saved model. Raises ConfigError if MLflow fails."""
        key = f"models/{name}/{version:04d}"
        with tempfile.TemporaryDirectory(prefix="viral-curves-") as folder:
            for file in _event_files(Path(folder), card["losses"]):
                store.upload(file, f"{key}/curves/{file.name}")
        if self.tensorboard:
            _event_files(self.tensorboard / f"{name}-{version}", card["losses"])
        if self.mlflow:
            consequence = f"{name}/{version} is saved, but MLflow at {redact(self.mlflow)} stores no curves"
            with connect(self.mlflow, consequence) as client:
                log_run(client, f"{name}/{version}", store.uri(key), card)


def _event_files(folder: Path, losses: list[list[float]]) -> list[Path]:
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for epoch, values in enumerate(losses, start=1):
            for curve, value in zip(CURVES, values, strict=True):
                writer.add_scalar(curve, value, epoch)
    return sorted(folder.iterdir())


def log_run(
    client: MlflowClient, model: str, address: str, card: Mapping[str, Any], artifacts: str | None = None
) -> str:
    """Log the training of a saved model: its parameters and curves.

    Args:
        client: MLflow.
        model: name/version of the model.
        address: address of its files. The run is tagged with it last: a run without this tag is incomplete.
        card: card of the model.
        artifacts: artifact location of the experiment, if it does not exist yet.

    Returns:
        The id of the run.
    """
    from mlflow.entities import Metric, Param, RunTag

    run = client.create_run(_experiment(client, artifacts), run_name=model).info.run_id
    params = [Param(name, str(value)[:MAX_LENGTH]) for name, value in _params(card).items()]
    # Time 0 for all: only the epoch counts.
    metrics = [
        Metric(curve, value, 0, epoch)
        for epoch, values in enumerate(card.get("losses", ()), start=1)
        for curve, value in zip(CURVES, values, strict=True)
    ]
    client.log_batch(run, params=params[:MAX_PARAMS])
    for first in range(0, len(metrics), MAX_METRICS):
        client.log_batch(run, metrics=metrics[first : first + MAX_METRICS])
    # Last: a run with this tag is complete, and `viral models sync` does not log it again.
    client.log_batch(run, tags=[RunTag("model", model), RunTag(ADDRESS_TAG, address)])
    client.set_terminated(run)
    return str(run)


def _experiment(client: MlflowClient, artifacts: str | None = None) -> str:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return str(experiment.experiment_id if experiment else client.create_experiment(EXPERIMENT, artifacts))


def _params(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scalars of the card and of its parts `train`, `config` and `feature_set`, as parameters of a run."""
    parts = ("train", "config", "feature_set")
    flat = {f"{part}.{name}": value for part in parts for name, value in card.get(part, {}).items()}
    flat |= dict(card) | {"label": card.get("label", {}).get("name")}
    return {name: value for name, value in flat.items() if isinstance(value, str | int | float | bool)}
