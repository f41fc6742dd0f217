"""A search tries what it says, keeps the best, and is the same again."""

from __future__ import annotations

import shutil

import pyarrow as pa
import pytest

from jobs import train_network
from jobs.training import search
from jobs.training.network_worker import NetworkTask
from jobs.training.search import train_trial, with_settings
from jobs.training.specs import TrainSpec
from viral.datasets.streams import Stream
from viral.errors import TableError
from viral.models.fusion_config import FusionConfig
from viral.models.train_config import Scaling, TrainConfig
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables.schemas import LABELS, VECTOR

STREAM = Stream("text", "text", 3)
TASK = NetworkTask(
    FusionConfig((STREAM,)), TrainConfig(epochs=5), Scaling(0.0, 1.0), {"text": [0.0] * 3}, {"text": [1.0] * 3}, 64
)
SETTINGS = {"learning_rate": 0.01, "weight_decay": 0.01, "width": 8, "dropout": 0.0, "modality_dropout": 0.0}


def rows(count: int) -> pa.Table:
    """Posts whose target is the first of their three numbers."""
    vectors = [[(number * 7 % count) / count - 0.5, 0.1, 0.2] for number in range(count)]
    given = {"target": [first for first, _, _ in vectors], "is_viral": [first > 0.3 for first, _, _ in vectors]}
    columns = [
        pa.array(given[each.name], each.type) if each.name in given else pa.nulls(count, each.type) for each in LABELS
    ]
    table = pa.Table.from_arrays(columns, names=LABELS.names)
    return table.append_column("text", pa.array(vectors, VECTOR))


def test_settings_reach_the_network_and_its_training():
    task = with_settings(TASK, SETTINGS)
    assert (task.model.width, task.model.dropout, task.model.modality_dropout) == (8, 0.0, 0.0)
    assert (task.train.learning_rate, task.train.weight_decay) == (0.01, 0.01)
    splits = {"train": rows(64), "validation": rows(16)}
    said = train_trial(task, splits)
    assert said == train_trial(task, splits)
    assert said["epochs"] == 5
    slow = train_trial(with_settings(TASK, SETTINGS | {"learning_rate": 1e-6}), splits)
    assert said["validation_loss"] < slow["validation_loss"]


@pytest.mark.usefixtures("ray_session")
def test_a_search_ends_in_the_best_of_its_trials(flow, tmp_path, capfd):
    shutil.copytree(flow.store.root, tmp_path / "root", ignore=shutil.ignore_patterns("models"))
    store = Store.open(tmp_path / "root")
    spec = TrainSpec("tuned", flow.feature_set, "log_views", workers=0)
    said = train_network.run(store, spec, TrainConfig(epochs=2), trials=2)
    card = Registry(store).load(said.model).card
    trials = card["search"]["trials"]
    losses = [each["validation_loss"] for each in trials]
    assert losses == sorted(losses)
    assert len({each["learning_rate"] for each in trials}) == 2
    assert TrainConfig.learning_rate in [each["learning_rate"] for each in trials]  # what would be taken without one
    assert card["train"]["learning_rate"] == trials[0]["learning_rate"]
    assert card["config"]["width"] == trials[0]["width"]
    assert said.validation_loss == pytest.approx(losses[0], abs=1e-4)  # one worker: the very same training
    assert card["search"]["rows"] == said.rows
    assert not list(store.objects("runs"))
    assert capfd.readouterr().out == ""


def test_without_validation_posts_there_is_nothing_to_tune_on():
    class Nothing:
        def iter_batches(self, **how: object) -> list[pa.Table]:
            return [rows(4).slice(0, 0)]

    with pytest.raises(TableError, match="nothing to tune on"):
        search._gather(Nothing(), 1.0)
