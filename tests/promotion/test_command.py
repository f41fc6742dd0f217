"""`viral models`, and MLflow as its own client sees it: one root for all tests, a model of its own for each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.promotion.conftest import CARD, LABEL, Save, write_scorecard
from viral.errors import ConfigError, PromotionError
from viral.promotion.command import command
from viral.promotion.mlflow_mirror import DATABASE, NO_MLFLOW
from viral.registry.promotions import latest_promotion
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tracking.curves import CURVES, Tracking

# Of MLflow, in its own code.
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "FutureWarning")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A root whose path MLflow could misread."""
    return Store.open(tmp_path_factory.mktemp("root 100%41 ü"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)


def said(store: Store, *arguments: str) -> str:
    """What a command prints. Raises what it raises."""
    done = CliRunner().invoke(command, [*arguments, "--root", store.root], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def told(store: Store, *arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(said(store, *arguments, "--json"))
    return answer


def mlflow(store: Store, uri: str | None = None) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(uri or told(store, "list")["mlflow"])


def test_mlflow_is_brought_up_to_date(store: Store, save: Save, tmp_path: Path) -> None:
    """Runs, curves, figures, versions and the alias; and by a second run nothing is added."""
    for noise in (2.0, 0.5):
        save(store, "synced", noise)
    report = write_scorecard(store, "synced", 2, 0.5)
    assert told(store, "list")["registered"] >= 2
    client = mlflow(store)
    one, two = sorted(client.search_model_versions("name='synced'"), key=lambda each: each.tags["model"])
    assert [each.tags["model"] for each in (one, two)] == ["synced/1", "synced/2"]
    assert two.tags["viral.address"] == store.uri("models/synced/0002")
    run = client.get_run(two.run_id)
    assert (run.info.run_name, run.info.status) == ("synced/2", "FINISHED")
    assert (run.data.params["train.learning_rate"], run.data.params["label"]) == ("0.1", "log_views")
    assert run.info.artifact_uri.startswith(store.root)
    curve = client.get_metric_history(two.run_id, CURVES[1])
    assert [(each.step, each.value) for each in curve] == [(1, 3.5), (2, 2.5)]
    assert run.data.metrics["test/spearman"] == report.systems[0].metrics["spearman"].value
    assert "test/spearman" not in client.get_run(one.run_id).data.metrics

    assert client.get_registered_model("synced").aliases == {}
    assert told(store, "promote", "synced/1")["registered"] == 0
    assert client.get_model_version_by_alias("synced", "champion").version == one.version
    promoted = told(store, "promote", "synced/2", "--resamples", "100")
    assert promoted["registered"] == 0
    champion = client.get_model_version_by_alias("synced", "champion")
    assert champion.version == two.version
    kept = json.loads(champion.tags["promotion"])
    assert kept == {name: value for name, value in promoted.items() if name in kept}

    write_scorecard(store, "synced", 1, 2.0)
    before = (Path(store.root) / DATABASE).read_bytes()
    assert told(store, "list")["registered"] == 0
    assert "test/spearman" in client.get_run(one.run_id).data.metrics
    after = (Path(store.root) / DATABASE).read_bytes()
    assert after != before
    assert told(store, "list")["registered"] == 0
    assert (Path(store.root) / DATABASE).read_bytes() == after
    assert len(client.search_runs([run.info.experiment_id], filter_string="tags.model LIKE 'synced/%'")) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_training_logged_is_not_logged_twice(store: Store, save: Save, tmp_path: Path) -> None:
    """With another database than the root's own."""
    uri = f"sqlite:///{Path(store.root, 'other.db').as_posix().replace('%', '%25')}"
    alone = Store.open(tmp_path)
    Registry(alone).save("logged", CARD, b"")
    Tracking(mlflow=uri).log(alone, "logged", 1, CARD)
    Registry(alone).save("logged", CARD, b"")
    client = mlflow(store, uri)
    experiment = client.get_experiment_by_name("viral").experiment_id
    [logged] = client.search_runs([experiment])
    assert told(alone, "list", "--mlflow", uri)["registered"] == 2
    assert told(alone, "list", "--mlflow", uri)["registered"] == 0
    runs = {run.info.run_name: run.info.run_id for run in client.search_runs([experiment])}
    assert (len(runs), runs["logged/1"]) == (2, logged.info.run_id)
    assert {each.run_id for each in client.search_model_versions("name='logged'")} == set(runs.values())
    assert not Path(alone.root, DATABASE).exists()


def test_the_list_names_champions_and_figures(store: Store, save: Save) -> None:
    save(store, "listed", 1.0)
    save(store, "listed", 1.0)
    report = write_scorecard(store, "listed", 1, 1.0)
    told(store, "promote", "listed/1")
    rows = {row["model"]: row for row in told(store, "list")["models"]}
    first, second = rows["listed/1"], rows["listed/2"]
    assert (first["champion"], second["champion"]) == (True, False)
    assert first["figures"]["roc_auc"] == report.systems[0].metrics["roc_auc"].value
    assert (second["figures"], second["rows"]) == ({}, 1000)
    [line] = [line for line in said(store, "list").splitlines() if line.startswith("listed/1")]
    assert line.split()[:2] == ["listed/1", "champion"]
    assert f"{first['figures']['spearman']:.4f}" in line


def test_a_version_is_shown_with_what_changed(store: Store, save: Save) -> None:
    save(store, "shown", 2.0)
    save(store, "shown", 0.5, data_hash="bb", config={"architecture": "concat"}, notes=["look out"])
    for version, noise in ((1, 2.0), (2, 0.5)):
        write_scorecard(store, "shown", version, noise)
    told(store, "promote", "shown/1")
    told(store, "promote", "shown/2", "--force", "it is newer", "--resamples", "100")
    row = told(store, "show", "shown")
    assert (row["model"], row["champion"], row["before"]) == ("shown/2", "shown/2", "shown/1")
    assert {"data_hash: aa → bb", "config.architecture: gated → concat"} <= set(row["changes"])
    assert [line.partition(":")[0] for line in row["changes"] if "→" in line and "losses" in line] == []
    assert any(line.startswith("spearman: 0.") for line in row["changes"])
    assert row["promotions"][0]["forced"] == "it is newer"
    text = said(store, "show", "shown@champion")
    assert "forced: it is newer" in text
    assert "look out" in text
    assert "changed since shown/1" in text
    assert told(store, "show", "shown/1")["before"] is None


def test_two_models_are_compared(store: Store, save: Save) -> None:
    save(store, "good", 0.5)
    save(store, "bad", 2.0)
    save(store, "foreign", 0.5, label={**LABEL, "name": "other"})
    found = told(store, "compare", "good", "bad/1", "--resamples", "100")
    assert (found["one"], found["other"], found["posts"], found["authors"]) == ("good/1", "bad/1", 270, 27)
    assert found["figures"]["rmse"]["difference"]["high"] < 0 < found["figures"]["spearman"]["difference"]["low"]
    lines = said(store, "compare", "good", "bad", "--resamples", "100").splitlines()
    assert lines[0] == "good/1 against bad/1, on 270 test posts by 27 authors"
    verdicts = {line.split()[0]: line.split()[-1] for line in lines[2:-1]}
    assert (verdicts["rmse"], verdicts["spearman"]) == ("better", "better")
    with pytest.raises(Exception, match="good/1 and foreign/1 were trained on different labels"):
        said(store, "compare", "good", "foreign")


def test_a_promotion_that_is_refused_changes_nothing(store: Store, save: Save) -> None:
    save(store, "refused", 0.5)
    save(store, "refused", 2.0)
    told(store, "promote", "refused/1")
    with pytest.raises(PromotionError, match="refused/2 is not promoted: its gain over the champion refused/1 in mae"):
        said(store, "promote", "refused/2", "--metric", "mae", "--resamples", "100")
    assert [row["champion"] for row in told(store, "list")["models"] if row["model"] == "refused/2"] == [False]


def test_a_root_on_s3_does_without_mlflow(s3_root: str, save: Save) -> None:
    store = Store.open(s3_root)
    save(store, "m", 1.0)
    assert told(store, "promote", "m/1")["mlflow"] == NO_MLFLOW
    assert told(store, "show", "m@champion")["model"] == "m/1"
    assert said(store, "list").splitlines()[-1] == f"mlflow: {NO_MLFLOW}"


def test_a_root_that_cannot_be_written_does_without_mlflow(tmp_path: Path, save: Save) -> None:
    store = Store.open(tmp_path)
    assert told(store, "list")["models"] == []
    assert list(tmp_path.iterdir()) == []
    (tmp_path / DATABASE).mkdir()
    save(store, "m", 1.0)
    assert (
        told(store, "list")["mlflow"] == f"none: {tmp_path / DATABASE} cannot be written; --mlflow URI names a server"
    )


def test_where_mlflow_fails_the_rest_is_done_and_it_is_said(store: Store, save: Save) -> None:
    save(store, "alone", 1.0)
    arguments = ["promote", "alone/1", "--root", store.root, "--mlflow", "nowhere://user:secret@x"]
    done = CliRunner().invoke(command, arguments)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith("MLflow at nowhere://user:***@x is not told of the models: ")
    assert "secret" not in str(done.exception) + done.output
    assert done.output.splitlines()[0] == "alone/1 is alone@champion"
    promoted = latest_promotion(store, "alone")
    assert promoted is not None and promoted.version == 1
