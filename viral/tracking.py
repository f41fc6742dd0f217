"""The curves of a training: TensorBoard files beside the model, and a run in MLflow where one is named."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viral.errors import ConfigError
from viral.store import Store, one_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "viral"
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
            with _mlflow(self.mlflow) as client:
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
            with _mlflow(self.mlflow, f"{name}/{version} is saved, but ") as client:
                _log(client, f"{name}/{version}", card)


def _event_files(folder: Path, losses: list[list[float]]) -> list[Path]:
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for epoch, values in enumerate(losses, start=1):
            for curve, value in zip(CURVES, values, strict=True):
                writer.add_scalar(curve, value, epoch)
    return sorted(folder.iterdir())


@contextmanager
def _mlflow(uri: str, before: str = "") -> Iterator[MlflowClient]:
    """MLflow at that address; its errors become ours, with what is to be said before them."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # else it tells its makers of every use
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # seven take minutes
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    try:
        yield MlflowClient(uri)
    except MlflowException as error:
        raise ConfigError(f"{before}MLflow at {uri} keeps no curves: {one_line(error)}") from error


def _experiment(client: MlflowClient) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    return str(found.experiment_id if found else client.create_experiment(EXPERIMENT))


def _log(client: MlflowClient, model: str, card: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    run = client.create_run(_experiment(client), run_name=model).info.run_id
    params = [Param(name, str(value)[:500]) for name, value in _params(card).items()]
    metrics = [
        Metric(curve, value, 0, epoch)
        for epoch, values in enumerate(card["losses"], start=1)
        for curve, value in zip(CURVES, values, strict=True)
    ]
    client.log_batch(run, params=params[:100], tags=[RunTag("model", model)])
    for first in range(0, len(metrics), BATCH):
        client.log_batch(run, metrics=metrics[first : first + BATCH])
    client.set_terminated(run)


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
