"""`viral models`, with MLflow read by its own client: all tests share a root, and use different models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.promotion.conftest import CARD, LABEL, Save, write_scorecard
from viral.errors import ConfigError, PromotionError
from viral.promotion.command import command
from viral.promotion.mlflow_sync import DATABASE
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tracking.curves import CURVES, Tracking

# Raised within MLflow.
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "FutureWarning")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A root whose path needs quoting in a URI."""
    return Store.open(tmp_path_factory.mktemp("root 100%41 ü"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)


def printed(store: Store, *arguments: str) -> str:
    """The output of a command; its exceptions are raised."""
    done = CliRunner().invoke(command, [*arguments, "--root", store.root], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def as_json(store: Store, *arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(printed(store, *arguments, "--json"))
    return answer


def mlflow(store: Store, uri: str | None = None) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(uri or as_json(store, "sync")["mlflow"])


def test_sync_copies_everything_once(store: Store, save: Save, tmp_path: Path) -> None:
    """Runs, curves, metrics, versions and the alias; a second sync adds nothing."""
    for noise in (2.0, 0.5):
        save(store, "synced", noise)
    report = write_scorecard(store, "synced", 2, 0.5)
    assert as_json(store, "sync")["registered"] >= 2
    client = mlflow(store)
    first, second = sorted(client.search_model_versions("name='synced'"), key=lambda version: version.tags["model"])
    assert [version.tags["model"] for version in (first, second)] == ["synced/1", "synced/2"]
    assert second.tags["viral.address"] == store.uri("models/synced/0002")
    run = client.get_run(second.run_id)
    assert (run.info.run_name, run.info.status) == ("synced/2", "FINISHED")
    assert (run.data.params["train.learning_rate"], run.data.params["label"]) == ("0.1", "log_views")
    assert run.info.artifact_uri.startswith(store.root)
    curve = client.get_metric_history(second.run_id, CURVES[1])
    assert [(point.step, point.value) for point in curve] == [(1, 3.5), (2, 2.5)]
    assert run.data.metrics["test/spearman"] == report.systems[0].metrics["spearman"].value
    assert "test/spearman" not in client.get_run(first.run_id).data.metrics

    assert client.get_registered_model("synced").aliases == {}
    as_json(store, "promote", "synced/1")
    assert client.get_registered_model("synced").aliases == {}
    assert as_json(store, "sync")["registered"] == 0
    assert client.get_model_version_by_alias("synced", "champion").version == first.version
    promoted = as_json(store, "promote", "synced/2", "--resamples", "100")
    as_json(store, "sync")
    champion = client.get_model_version_by_alias("synced", "champion")
    assert champion.version == second.version
    tag = json.loads(champion.tags["promotion"])
    assert tag == {name: value for name, value in promoted.items() if name in tag}

    write_scorecard(store, "synced", 1, 2.0)
    before = (Path(store.root) / DATABASE).read_bytes()
    assert as_json(store, "sync")["registered"] == 0
    assert "test/spearman" in client.get_run(first.run_id).data.metrics
    after = (Path(store.root) / DATABASE).read_bytes()
    assert after != before
    assert as_json(store, "sync")["registered"] == 0
    assert (Path(store.root) / DATABASE).read_bytes() == after
    assert len(client.search_runs([run.info.experiment_id], filter_string="tags.model LIKE 'synced/%'")) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_training_logged_is_not_logged_twice(store: Store, save: Save, tmp_path: Path) -> None:
    """With another database than the root's own."""
    uri = f"sqlite:///{Path(store.root, 'other.db').as_posix().replace('%', '%25')}"
    separate = Store.open(tmp_path)
    Registry(separate).save("logged", CARD, b"")
    Tracking(mlflow=uri).log(separate, "logged", 1, CARD)
    Registry(separate).save("logged", CARD, b"")
    client = mlflow(store, uri)
    experiment = client.get_experiment_by_name("viral").experiment_id
    [logged] = client.search_runs([experiment])
    assert as_json(separate, "sync", "--mlflow", uri)["registered"] == 2
    assert as_json(separate, "sync", "--mlflow", uri)["registered"] == 0
    runs = {run.info.run_name: run.info.run_id for run in client.search_runs([experiment])}
    assert (len(runs), runs["logged/1"]) == (2, logged.info.run_id)
    assert {version.run_id for version in client.search_model_versions("name='logged'")} == set(runs.values())
    assert not Path(separate.root, DATABASE).exists()


def test_the_list_names_champions_and_figures(store: Store, save: Save) -> None:
    save(store, "listed", 1.0)
    save(store, "listed", 1.0)
    report = write_scorecard(store, "listed", 1, 1.0)
    as_json(store, "promote", "listed/1")
    rows = {row["model"]: row for row in as_json(store, "list")["models"]}
    first, second = rows["listed/1"], rows["listed/2"]
    assert (first["champion"], second["champion"]) == (True, False)
    assert first["figures"]["roc_auc"] == report.systems[0].metrics["roc_auc"].value
    assert (second["figures"], second["rows"]) == ({}, 1000)
    [line] = [line for line in printed(store, "list").splitlines() if line.startswith("listed/1")]
    assert line.split()[:2] == ["listed/1", "champion"]
    assert f"{first['figures']['spearman']:.4f}" in line


def test_a_version_is_shown_with_what_changed(store: Store, save: Save) -> None:
    save(store, "shown", 2.0)
    save(store, "shown", 0.5, data_hash="bb", config={"architecture": "concat"}, notes=["look out"])
    for version, noise in ((1, 2.0), (2, 0.5)):
        write_scorecard(store, "shown", version, noise)
    as_json(store, "promote", "shown/1")
    as_json(store, "promote", "shown/2", "--force", "it is newer", "--resamples", "100")
    row = as_json(store, "show", "shown")
    assert (row["model"], row["champion"], row["before"]) == ("shown/2", "shown/2", "shown/1")
    assert {"data_hash: aa → bb", "config.architecture: gated → concat"} <= set(row["changes"])
    assert [line.partition(":")[0] for line in row["changes"] if "→" in line and "losses" in line] == []
    assert any(line.startswith("spearman: 0.") for line in row["changes"])
    assert row["promotions"][0]["forced"] == "it is newer"
    text = printed(store, "show", "shown@champion")
    assert "forced: it is newer" in text
    assert "look out" in text
    assert "changed since shown/1" in text
    assert as_json(store, "show", "shown/1")["before"] is None


def test_two_models_are_compared(store: Store, save: Save) -> None:
    save(store, "good", 0.5)
    save(store, "bad", 2.0)
    save(store, "foreign", 0.5, label={**LABEL, "name": "other"})
    comparison = as_json(store, "compare", "good", "bad/1", "--resamples", "100")
    assert (comparison["one"], comparison["other"], comparison["posts"], comparison["authors"]) == (
        "good/1",
        "bad/1",
        270,
        27,
    )
    assert (
        comparison["figures"]["rmse"]["difference"]["high"] < 0 < comparison["figures"]["spearman"]["difference"]["low"]
    )
    lines = printed(store, "compare", "good", "bad", "--resamples", "100").splitlines()
    assert lines[0] == "good/1 against bad/1, on 270 test posts by 27 authors"
    verdicts = {line.split()[0]: line.split()[-1] for line in lines[2:]}
    assert (verdicts["rmse"], verdicts["spearman"]) == ("better", "better")
    with pytest.raises(Exception, match="good/1 and foreign/1 were trained on different labels"):
        printed(store, "compare", "good", "foreign")


def test_a_promotion_that_is_refused_changes_nothing(store: Store, save: Save) -> None:
    save(store, "refused", 0.5)
    save(store, "refused", 2.0)
    as_json(store, "promote", "refused/1")
    with pytest.raises(PromotionError, match="refused/2 is not promoted: its gain over the champion refused/1 in mae"):
        printed(store, "promote", "refused/2", "--metric", "mae", "--resamples", "100")
    assert [row["champion"] for row in as_json(store, "list")["models"] if row["model"] == "refused/2"] == [False]


@pytest.mark.parametrize("arguments", [["list"], ["show", "m"], ["compare", "m/1", "m/2"], ["promote", "m/2"]])
def test_only_sync_uses_mlflow(
    tmp_path: Path, save: Save, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """Whatever tracking server the environment names; and only a promotion writes to the root."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://x")
    store = Store.open(tmp_path)
    for noise in (2.0, 0.5):
        save(store, "m", noise)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    printed(store, *arguments)
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert [path.parent.name for path in written] == (["promotions"] if arguments[0] == "promote" else [])


def test_a_root_without_a_place_for_the_database_needs_a_server(s3_root: str, tmp_path: Path, save: Save) -> None:
    remote = Store.open(s3_root)
    save(remote, "m", 1.0)
    assert as_json(remote, "promote", "m/1")["model"] == as_json(remote, "show", "m@champion")["model"] == "m/1"
    with pytest.raises(ConfigError, match=r"SQLite cannot write mlflow\.db on S3: name a server with --mlflow URI"):
        printed(remote, "sync")
    (tmp_path / DATABASE).mkdir()
    with pytest.raises(ConfigError, match=r"mlflow\.db cannot be written: name a server with --mlflow URI"):
        printed(Store.open(tmp_path), "sync")


def test_an_empty_root_stays_empty(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    assert as_json(store, "list")["models"] == []
    assert as_json(store, "sync")["registered"] == 0
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_fails_is_named_without_its_password(store: Store) -> None:
    with pytest.raises(ConfigError, match=r"^MLflow at nowhere://user:\*\*\*@x is not up to date: ") as caught:
        printed(store, "sync", "--mlflow", "nowhere://user:secret@x")
    assert "secret" not in str(caught.value)
