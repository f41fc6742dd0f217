"""Curves of a training, read back by TensorBoard and MLflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from viral.errors import ConfigError
from viral.storage.store import Store
from viral.tracking.curves import CURVES, Tracking

LOSSES = [[3.0, 3.5], [2.0, 2.5], [1.5, 2.25]]
CARD = {
    "kind": "network",
    "losses": LOSSES,
    "rows": 30,
    "train": {"learning_rate": 0.1, "batch_size": None},
    "config": {"architecture": "concat", "streams": []},
    "label": {"name": "log_views"},
}
# Raised within the libraries.
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "FutureWarning")]


def read_back(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    curves: dict[str, list[tuple[int, float]]] = {curve: [] for curve in CURVES}
    [file] = folder.iterdir()
    for event in EventFileLoader(str(file)).Load():
        for value in event.summary.value:
            number = value.tensor.float_val[0] if value.HasField("tensor") else value.simple_value
            curves[value.tag].append((event.step, number))
    return curves


EXPECTED = {
    curve: [(epoch, values[index]) for epoch, values in enumerate(LOSSES, start=1)]
    for index, curve in enumerate(CURVES)
}


def test_curves_lie_beside_the_model_and_where_asked_for(tmp_path):
    (tmp_path / "root").mkdir()
    tracking = Tracking(tensorboard=tmp_path / "shown" / "here")
    tracking.check()
    tracking.log(Store.open(tmp_path / "root"), "m", 3, CARD)
    assert read_back(tmp_path / "root" / "models" / "m" / "0003" / "curves") == EXPECTED
    assert read_back(tmp_path / "shown" / "here" / "m-3") == EXPECTED


def test_without_a_word_nothing_is_written_outside_the_root(tmp_path, monkeypatch):
    (tmp_path / "root").mkdir()
    monkeypatch.chdir(tmp_path)
    Tracking().check()
    Tracking().log(Store.open(tmp_path / "root"), "m", 1, CARD)
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_mlflow_has_the_run(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    (tmp_path / "root").mkdir()
    tracking = Tracking(mlflow=uri)
    tracking.check()
    tracking.log(Store.open(tmp_path / "root"), "m", 3, CARD)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("viral")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status, run.data.tags["model"]) == ("m/3", "FINISHED", "m/3")
    assert run.data.params["train.learning_rate"] == "0.1"
    assert (run.data.params["config.architecture"], run.data.params["label"]) == ("concat", "log_views")
    curve = client.get_metric_history(run.info.run_id, "loss/validation")
    assert [(point.step, point.value) for point in curve] == EXPECTED["loss/validation"]


def test_where_nothing_can_be_kept_it_is_said_before_training(tmp_path):
    with pytest.raises(ConfigError, match="MLflow at nowhere://x stores no curves: "):
        Tracking(mlflow="nowhere://x").check()
    (tmp_path / "root").mkdir()
    with pytest.raises(ConfigError, match="m/1 is saved, but MLflow at nowhere://x stores no curves: "):
        Tracking(mlflow="nowhere://x").log(Store.open(tmp_path / "root"), "m", 1, CARD)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write to"):
        Tracking(tensorboard=tmp_path / "file" / "below").check()
