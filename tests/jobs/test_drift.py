"""Drift of the corpus's model on newer posts: first the same posts again, then with far more views."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from jobs.drift import command
from jobs.evaluating import drift, refit
from jobs.evaluating.drift import DriftSpec, label_immature, newer_posts, training_posts
from tests.conftest import CORPUS_POSTS
from viral.errors import ConfigError, TableError
from viral.evaluation import test_predictions
from viral.evaluation.drift.alarms import AlarmLimits
from viral.features.feature_table import features_table
from viral.promotion.changelog import load_changelog
from viral.promotion.listing import describe_model, show_lines
from viral.registry.registry import ModelVersion, Registry
from viral.storage.store import Store
from viral.tables.bucketed import log2_buckets_for
from viral.tables.places import posts_table
from viral.tables.schemas import TIMESTAMP

BEGAN = datetime(2031, 1, 6, tzinfo=UTC)
WEEKS = 4
SPEC = DriftSpec(BEGAN, resamples=100)


def again(rows: pa.Table, week: int) -> pa.Table:
    """The posts with new ids, for another week."""
    return rows.set_column(
        rows.column_names.index("post_id"),
        rows.schema.field("post_id"),
        pa.array([f"{post}-{week}" for post in rows["post_id"].to_pylist()]),
    )


def plant(store: Store, feature_set) -> None:
    """Four weeks of such posts by other authors; from the third week on, with a million times the views.

    Their vectors are about those of the originals, in another order: copies of posts would be leaks.
    """
    rng = np.random.default_rng(0)
    posts, features = posts_table(store), features_table(store, feature_set)
    originals, vectors = posts.read(), features.read()
    for week in range(WEEKS):
        rows = again(originals, week).to_pylist()
        for index, row in enumerate(rows):
            row["posted_at"] = BEGAN + timedelta(days=7 * week, hours=3 * index)
            row["scraped_at"] = row["posted_at"] + timedelta(days=2)
            row["author_id"] = f"later-{week}-{index % 20}"
            row["views"] = (row["views"] + 1) * (1_000_000 if week >= 2 else 1)
        posts.append(pa.Table.from_pylist(rows, schema=originals.schema), log2_buckets_for(originals.num_rows))
        shifted = again(vectors, week).to_pylist()
        post_ids = rng.permutation([row["post_id"] for row in shifted]).tolist()
        for row, post_id in zip(shifted, post_ids, strict=True):
            row |= {"post_id": post_id, "sha256": f"{row['sha256']}-{week}", "video_hash": None}
            for name in feature_set.dims:
                if row[name] is not None:
                    row[name] = (np.array(row[name]) * rng.normal(1, 0.01, len(row[name]))).tolist()
        features.append(pa.Table.from_pylist(shifted, schema=features.schema), log2_buckets_for(vectors.num_rows))


@pytest.fixture(scope="module")
def store(flow, tmp_path_factory) -> Store:
    root = tmp_path_factory.mktemp("drift") / "root"
    shutil.copytree(flow.store.root, root)
    store = Store.open(root)
    plant(store, flow.feature_set)
    # Trained again in this process: what two workers do, the tests of training and of kills show.
    card = Registry(store).load(flow.trained.model).card | {"workers": 0}
    store.write(Registry.key("fused", 1, "model.json"), json.dumps(card).encode())
    return store


@pytest.fixture
def saved(store, flow) -> ModelVersion:
    return Registry(store).load(flow.trained.model)


def test_only_posts_that_it_has_not_learnt_from_tell_something(store, saved, flow):
    splits = flow.labelled.splits
    rows, left_out = newer_posts(store, saved, datetime(2001, 1, 1, tzinfo=UTC))
    assert left_out["learnt from"] == splits["train"] + splits["validation"]
    assert (
        rows.num_rows
        == splits["test"] + splits["unused"] + WEEKS * CORPUS_POSTS - sum(left_out.values()) + left_out["learnt from"]
    )
    assert not set(rows["post_id"].to_pylist()) & set(training_posts(store, saved).to_pylist())
    later, _ = newer_posts(store, saved, BEGAN + timedelta(days=14))
    limit = saved.card["label"]["fitted"]["threshold"]
    assert pc.min(later["posted_at"]).as_py() >= BEGAN + timedelta(days=14)
    assert later["is_viral"].to_pylist() == [target > limit for target in later["target"].to_pylist()]
    changed = replace(saved, card=saved.card | {"label": saved.card["label"] | {"fitted": {}}})
    with pytest.raises(TableError, match="labels/log_views was replaced since fused/1 was trained"):
        training_posts(store, changed)


def test_counts_that_were_read_before_the_horizon_do_not_count():
    posted = [BEGAN] * 4
    scraped = [BEGAN + timedelta(days=2), BEGAN + timedelta(days=3), BEGAN + timedelta(days=9), None]
    posts = pa.table({"posted_at": pa.array(posted, TIMESTAMP), "scraped_at": pa.array(scraped, TIMESTAMP)})
    assert label_immature(posts, 3).tolist() == [True, False, False, True]
    assert not label_immature(posts, 0).any()


def test_posts_as_nobody_saw_coming_raise_alarms_and_a_refit_is_compared(ray_session, store, saved, flow):
    summary = refit.run(store, flow.trained.model, SPEC, resamples=100)
    written = json.loads(store.read("models/fused/0001/drift.json"))
    windows = written["drift"]["windows"]
    assert [window["posts"] for window in windows] == [CORPUS_POSTS] * WEEKS == [CORPUS_POSTS] * len(windows)
    covered, happened = ([window["figures"][name]["value"] for window in windows] for name in ("coverage", "happened"))
    assert happened[0] < 0.5 and happened[2:] == [1.0, 1.0]
    assert covered[2:] == [0.0, 0.0]
    raised = {(alarm["figure"], alarm["first"]) for alarm in written["drift"]["alarms"]}
    for window in windows[2:]:
        assert {("coverage", window["first"]), ("calibration", window["first"])} <= raised
    assert summary.alarms == [alarm["sentence"] for alarm in written["drift"]["alarms"]]
    posts = WEEKS * CORPUS_POSTS
    assert (summary.posts, summary.windows["all"].split(",")[0]) == (posts, f"{posts} posts by 80 authors")
    assert b"Drift of fused/1" in store.read("models/fused/0001/drift.html")
    assert not list(store.objects("runs"))

    assert summary.refitted == "fused/2"
    log, card = load_changelog(store, "fused", 2), Registry(store).load("fused/2").card
    assert log.why == summary.alarms
    assert (log.before.table, log.before.rows) == ("log_views", flow.trained.rows)
    assert log.after.table == card["label"]["name"] == f"log_views-{datetime.now(UTC):%Y-%m-%d}"
    assert (log.after.rows, log.after.data_hash) == (card["rows"], card["data_hash"])
    assert log.after.constants["threshold"] > log.before.constants["threshold"]
    assert log.after.last > f"{BEGAN:%Y-%m-%d}" > log.before.last
    assert (card["train"], card["config"]) == (saved.card["train"], saved.card["config"])

    fresh = test_predictions.read(store, "fused", 1, label=log.after.table)
    learnt = set(training_posts(store, saved).to_pylist())
    new = test_predictions.read(store, "fused", 2)
    assert set(fresh["post_id"].to_pylist()) == set(new["post_id"].to_pylist()) - learnt
    assert log.compared.posts == fresh.num_rows > 0
    difference = log.compared.figures["mae"].difference
    assert difference.value == pytest.approx(_mae(new, fresh) - _mae(fresh, fresh))
    text = "\n".join(show_lines(describe_model(store, "fused/2")))
    assert summary.alarms[0] in text and "fused/2 against fused/1, on " in text
    training_posts(store, saved)  # the old labels are as they were
    assert refit.new_table(store, log.after.table) == f"{log.after.table}.2"


def _mae(rows: pa.Table, some: pa.Table) -> float:
    kept = rows.filter(pc.is_in(rows["post_id"], some["post_id"].combine_chunks()))
    return float(np.abs(kept["target"].to_numpy() - kept["score"].to_numpy()).mean())


def test_a_time_without_posts_is_said(store, flow):
    with pytest.raises(TableError, match=r"no post since 2040-01-01 can be used to test fused/1: there is none"):
        drift.run(store, flow.trained.model, DriftSpec(datetime(2040, 1, 1, tzinfo=UTC)))


def test_the_same_settings_are_read_from_a_card(store, saved, flow):
    spec, config = refit.network_spec(replace(saved, card=saved.card | {"workers": 2}), "new")
    assert (spec.name, spec.label, spec.workers, spec.modality, spec.extractor) == ("fused", "new", 2, None, None)
    assert (config, spec.feature_set.fingerprint) == (flow.config, flow.feature_set.fingerprint)
    text = [each for each in saved.card["config"]["streams"] if each["modality"] == "text"]
    words = replace(saved, card=saved.card | {"config": saved.card["config"] | {"streams": text}})
    assert refit.network_spec(words, "new")[0].modality == "text"
    card = saved.card | {"kind": "ensemble", "members": {"knn": {}, "svm": {}}, "seed": 3, "workers": 1}
    trees = refit.ensemble_spec(replace(saved, card=card), "new")
    assert (trees.members, trees.seed, trees.label) == (("knn", "svm"), 3, "new")


def test_other_models_name_the_command(saved):
    for kind, name in (("stacked", "stacked"), ("video", "video")):
        with pytest.raises(ConfigError, match=f"a {kind} model, which --refit does not train.* viral train {name} "):
            refit.trainer_of(replace(saved, card=saved.card | {"kind": kind}))
    with pytest.raises(ConfigError, match="continued from another model"):
        refit.trainer_of(replace(saved, card=saved.card | {"continued_from": "m/1"}))


def test_the_command_passes_its_options(store, monkeypatch):
    calls = []

    def run(_, model, spec, **options):
        calls.append((model, spec, options))
        return drift.DriftSummary(model, "a.html", "a.json", 1)

    monkeypatch.setattr(drift, "run", run)
    monkeypatch.setattr(refit, "run", run)
    arguments = ["--root", store.root, "--model", "m/1", "--since", "2031-01-06", "--json"]
    changed = [
        "--every",
        "14",
        "--alarm-coverage",
        "0.7",
        "0.99",
        "--alarm-auc",
        "0.2",
        "--refit",
        "--resamples",
        "100",
    ]
    for more in ([], changed):
        result = CliRunner().invoke(command, [*arguments, *more], catch_exceptions=False)
        assert json.loads(result.stdout)["model"] == "m/1"
    (_, default, _), (model, spec, options) = calls
    assert default == DriftSpec(BEGAN)
    assert (model, options["resamples"]) == ("m/1", 100)
    assert spec == DriftSpec(BEGAN, 14, AlarmLimits(coverage=(0.7, 0.99), auc=0.2))


def test_the_command_needs_a_first_day(store):
    result = CliRunner().invoke(command, ["--root", store.root])
    assert result.exit_code == 2
    assert "Missing option '--since'" in result.stderr
