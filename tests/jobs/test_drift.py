"""The model of the real videos on posts that came later: the same again, then such as nobody saw coming."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jobs.evaluating import drift, refit
from jobs.evaluating.drift import Watch, later_posts, learnt_from, too_young
from viral.errors import ConfigError, TableError
from viral.evaluation import test_predictions
from viral.features.feature_table import features_table
from viral.promotion.changelog import changelog
from viral.promotion.listing import show_lines, shown
from viral.registry.registry import Registry, Saved
from viral.storage.store import Store
from viral.tables.bucketed import bits_for
from viral.tables.places import posts_table
from viral.tables.schemas import SECONDS

BEGAN = datetime(2031, 1, 6, tzinfo=UTC)
WEEKS = 4
WATCH = Watch(BEGAN, resamples=100)


def again(rows: pa.Table, week: int) -> pa.Table:
    """The posts once more, as those of another week."""
    return rows.set_column(
        rows.column_names.index("post_id"),
        rows.schema.field("post_id"),
        pa.array([f"{post}-{week}" for post in rows["post_id"].to_pylist()]),
    )


def plant(store: Store, feature_set) -> None:
    """Four weeks of the same posts by other people; from the third on, everything is seen a million times as often."""
    posts, features = posts_table(store), features_table(store, feature_set)
    known, vectors = posts.read(), features.read()
    for week in range(WEEKS):
        rows = again(known, week).to_pylist()
        for place, row in enumerate(rows):
            row["posted_at"] = BEGAN + timedelta(days=7 * week, hours=3 * place)
            row["scraped_at"] = row["posted_at"] + timedelta(days=2)
            row["author_id"] = f"later-{week}-{place % 20}"
            row["views"] = (row["views"] + 1) * (1_000_000 if week >= 2 else 1)
        posts.append(pa.Table.from_pylist(rows, schema=known.schema), bits_for(known.num_rows))
        shifted = again(vectors, week)
        hashes = pa.array([f"{sha}-{week}" for sha in vectors["sha256"].to_pylist()])
        place = shifted.column_names.index("sha256")
        features.append(shifted.set_column(place, shifted.schema.field("sha256"), hashes), bits_for(vectors.num_rows))


@pytest.fixture(scope="module")
def store(tiktoks, tmp_path_factory) -> Store:
    root = tmp_path_factory.mktemp("drift") / "root"
    shutil.copytree(tiktoks.store.root, root)
    store = Store.open(root)
    plant(store, tiktoks.feature_set)
    return store


@pytest.fixture
def saved(store, tiktoks) -> Saved:
    return Registry(store).load(tiktoks.trained.model)


def test_only_posts_that_it_has_not_learnt_from_tell_something(store, saved, tiktoks):
    splits = tiktoks.labelled.splits
    rows, left_out = later_posts(store, saved, datetime(2001, 1, 1, tzinfo=UTC))
    assert left_out["learnt from"] == splits["train"] + splits["validation"]
    assert (
        rows.num_rows
        == splits["test"] + splits["unused"] + WEEKS * 43 - sum(left_out.values()) + left_out["learnt from"]
    )
    assert not set(rows["post_id"].to_pylist()) & set(learnt_from(store, saved).to_pylist())
    later, _ = later_posts(store, saved, BEGAN + timedelta(days=14))
    limit = saved.card["label"]["fitted"]["threshold"]
    assert pc.min(later["posted_at"]).as_py() >= BEGAN + timedelta(days=14)
    assert later["is_viral"].to_pylist() == [target > limit for target in later["target"].to_pylist()]
    changed = replace(saved, card=saved.card | {"label": saved.card["label"] | {"fitted": {}}})
    with pytest.raises(TableError, match="labels/log_views was made anew since tiktoks/1 was trained"):
        learnt_from(store, changed)


def test_counts_that_were_read_before_the_horizon_do_not_count():
    posted = [BEGAN] * 4
    scraped = [BEGAN + timedelta(days=2), BEGAN + timedelta(days=3), BEGAN + timedelta(days=9), None]
    posts = pa.table({"posted_at": pa.array(posted, SECONDS), "scraped_at": pa.array(scraped, SECONDS)})
    assert too_young(posts, 3).tolist() == [True, False, False, True]
    assert not too_young(posts, 0).any()


def test_posts_as_nobody_saw_coming_raise_alarms_and_a_refit_is_compared(ray_session, store, saved, tiktoks):
    said = refit.run(store, tiktoks.trained.model, WATCH, resamples=100)
    written = json.loads(store.read("models/tiktoks/0001/drift.json"))
    windows = written["drift"]["windows"]
    assert [window["posts"] for window in windows] == [43] * WEEKS == [43] * len(windows)
    covered, happened = ([window["figures"][name]["value"] for window in windows] for name in ("coverage", "happened"))
    assert happened[0] < 0.5 and happened[2:] == [1.0, 1.0]
    assert covered[2:] == [0.0, 0.0]
    raised = {(alarm["figure"], alarm["first"]) for alarm in written["drift"]["alarms"]}
    for window in windows[2:]:
        assert {("coverage", window["first"]), ("calibration", window["first"])} <= raised
    assert said.alarms == [alarm["sentence"] for alarm in written["drift"]["alarms"]]
    assert (said.posts, said.windows["all"].split(",")[0]) == (172, "172 posts by 80 authors")
    assert b"Drift of tiktoks/1" in store.read("models/tiktoks/0001/drift.html")
    assert not list(store.objects("runs"))

    assert said.refitted == "tiktoks/2"
    made, card = changelog(store, "tiktoks", 2), Registry(store).load("tiktoks/2").card
    assert made.why == said.alarms
    assert (made.before.table, made.before.rows) == ("log_views", tiktoks.trained.rows)
    assert made.after.table == card["label"]["name"] == f"log_views-{datetime.now(UTC):%Y-%m-%d}"
    assert (made.after.rows, made.after.data_hash) == (card["rows"], card["data_hash"])
    assert made.after.constants["threshold"] > made.before.constants["threshold"]
    assert made.after.last > f"{BEGAN:%Y-%m-%d}" > made.before.last
    assert (card["train"], card["config"]) == (saved.card["train"], saved.card["config"])

    fresh = test_predictions.read(store, "tiktoks", 1, label=made.after.table)
    learnt = set(learnt_from(store, saved).to_pylist())
    new = test_predictions.read(store, "tiktoks", 2)
    assert set(fresh["post_id"].to_pylist()) == set(new["post_id"].to_pylist()) - learnt
    assert made.compared.posts == fresh.num_rows > 0
    difference = made.compared.figures["mae"].difference
    assert difference.value == pytest.approx(_mae(new, fresh) - _mae(fresh, fresh))
    text = "\n".join(show_lines(shown(store, "tiktoks/2")))
    assert said.alarms[0] in text and "tiktoks/2 against tiktoks/1, on " in text
    learnt_from(store, saved)  # the old labels are as they were
    assert refit.new_table(store, made.after.table) == f"{made.after.table}.2"


def _mae(rows: pa.Table, some: pa.Table) -> float:
    kept = rows.filter(pc.is_in(rows["post_id"], some["post_id"].combine_chunks()))
    return float(np.abs(kept["target"].to_numpy() - kept["score"].to_numpy()).mean())


def test_a_time_without_posts_is_said(store, tiktoks):
    with pytest.raises(TableError, match=r"no post since 2040-01-01 tells anything of tiktoks/1: there is none"):
        drift.run(store, tiktoks.trained.model, Watch(datetime(2040, 1, 1, tzinfo=UTC)))


def test_the_same_settings_are_read_from_a_card(store, saved, tiktoks):
    spec, config = refit.network_spec(saved, "new")
    assert (spec.name, spec.label, spec.workers, spec.modality, spec.extractor) == ("tiktoks", "new", 2, None, None)
    assert (config, spec.feature_set.fingerprint) == (tiktoks.config, tiktoks.feature_set.fingerprint)
    text = [each for each in saved.card["config"]["streams"] if each["modality"] == "text"]
    words = replace(saved, card=saved.card | {"config": saved.card["config"] | {"streams": text}})
    assert refit.network_spec(words, "new")[0].modality == "text"
    card = saved.card | {"kind": "ensemble", "members": {"knn": {}, "svm": {}}, "seed": 3, "workers": 1}
    trees = refit.ensemble_spec(replace(saved, card=card), "new")
    assert (trees.members, trees.seed, trees.label) == (("knn", "svm"), 3, "new")


def test_other_models_name_the_command(saved):
    for kind, command in (("stacked", "stacked"), ("video", "video")):
        with pytest.raises(ConfigError, match=f"a {kind} model, which --refit does not train.* viral train {command} "):
            refit.trainer_of(replace(saved, card=saved.card | {"kind": kind}))
    with pytest.raises(ConfigError, match="one that went on from another model"):
        refit.trainer_of(replace(saved, card=saved.card | {"continued_from": "m/1"}))
