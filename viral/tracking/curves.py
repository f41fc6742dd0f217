"""The curves of a training: TensorBoard files beside the model, and a run in MLflow where one is named."""

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
ADDRESS_TAG = "viral.address"  # the tag that says where the files of a model lie
CURVES = ("loss/train", "loss/validation")
BATCH = 1000  # metrics that MLflow takes at once


@dataclass(frozen=True)
class Tracking:
    """Where the curves of a training go besides the root, where they lie at `models/NAME/VERSION/curves/`.

    Args:
        mlflow: the address of a tracking server or of its database.
        tensorboard: a folder that gets one of its own for each model.
    """

    mlflow: str | None = None
    tensorboard: Path | None = None

    def check(self) -> None:
        """Make sure that they can be kept, before anything is trained. Raises ConfigError."""
        if self.mlflow:
            with connect(self.mlflow, f"MLflow at {shown(self.mlflow)} keeps no curves") as client:
                _experiment(client)
        if self.tensorboard:
            try:
                self.tensorboard.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"cannot write to {self.tensorboard}: {one_line(error)}") from error

    def keep(self, store: Store, name: str, version: int, card: Mapping[str, Any]) -> None:
        """Keep the curves of a model, which is saved by now. Raises ConfigError: MLflow does not answer any more."""
        with tempfile.TemporaryDirectory(prefix="viral-curves-") as folder:
            for file in _event_files(Path(folder), card["losses"]):
                store.upload(file, f"models/{name}/{version:04d}/curves/{file.name}")
        if self.tensorboard:
            _event_files(self.tensorboard / f"{name}-{version}", card["losses"])
        if self.mlflow:
            said = f"{name}/{version} is saved, but MLflow at {shown(self.mlflow)} keeps no curves"
            with connect(self.mlflow, said) as client:
                log_run(client, f"{name}/{version}", store.uri(f"models/{name}/{version:04d}"), card)


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
    """Log the training of a saved model: what it is told apart by, and its curves.

    Args:
        client: MLflow.
        model: name/version.
        address: where its files lie. The run is tagged with it last of all: without it, a run is but half logged.
        card: of the model.
        artifacts: where MLflow is to keep files of the experiment, if it does not know it yet.

    Returns:
        The id of the run.
    """
    from mlflow.entities import Metric, Param, RunTag

    run = client.create_run(_experiment(client, artifacts), run_name=model).info.run_id
    params = [Param(name, str(value)[:500]) for name, value in _params(card).items()]
    metrics = [
        Metric(curve, value, 0, epoch)
        for epoch, values in enumerate(card.get("losses", ()), start=1)
        for curve, value in zip(CURVES, values, strict=True)
    ]
    client.log_batch(run, params=params[:100])
    for first in range(0, len(metrics), BATCH):
        client.log_batch(run, metrics=metrics[first : first + BATCH])
    client.log_batch(run, tags=[RunTag("model", model), RunTag(ADDRESS_TAG, address)])
    client.set_terminated(run)
    return str(run)


def _experiment(client: MlflowClient, artifacts: str | None = None) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    return str(found.experiment_id if found else client.create_experiment(EXPERIMENT, artifacts))


def _params(card: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is told apart by: the plain values of the card, and those of its parts `train` and `config`."""
    parts = {
        "train": card.get("train", {}),
        "config": card.get("config", {}),
        "feature_set": card.get("feature_set", {}),
    }
    flat = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
    flat |= dict(card) | {"label": card.get("label", {}).get("name")}
    return {name: value for name, value in flat.items() if isinstance(value, str | int | float | bool)}
