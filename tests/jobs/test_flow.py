"""A corpus from its table to scores: the batch, the scorer and the command agree."""

from __future__ import annotations

import json
import shutil

import pytest

from jobs import label
from jobs.backfilling.stages import extraction_request
from tests.conftest import CORPUS_POSTS
from tests.jobs.conftest import SAME, check_scored_alike
from viral.config import Settings
from viral.evaluation.splits import SplitSpec
from viral.features.pipeline import Pipeline
from viral.labels import LabelSpec
from viral.scoring.scorer import Scorer
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import posts_table
from viral.tables.schemas import PREDICTIONS


def test_the_model_says_what_it_was_made_of(flow):
    card = Scorer.load(flow.store, flow.trained.model).saved.card
    assert card["rows"] == flow.trained.rows == flow.labelled.splits["train"]
    assert card["data_hash"] == flow.trained.data_hash
    assert (card["sources"], card["notes"]) == (["csv"], [])
    assert not list(flow.store.objects("runs"))


def test_the_scorecard_stands_beside_baselines(flow):
    assert flow.judged.test_posts == flow.labelled.splits["test"]
    card = json.loads(flow.store.read("models/fused/0001/scorecard.json"))
    assert {"model", "constant", "duration_only", "metadata_gbm"} <= set(flow.judged.figures)
    assert card["about"]["data_hash"] == flow.trained.data_hash
    assert card["systems"][0]["figures"]["mape"]["value"] > 0  # log_views is a logarithm
    assert b"Scorecard of fused/1" in flow.store.read("models/fused/0001/scorecard.html")


def test_the_figures_are_a_table_with_the_intervals_of_the_model(flow):
    lines = flow.judged.lines()[len(flow.judged.ahead) :]
    titles, model, interval = (line.split() for line in lines[2:5])
    assert model[0] == "model" and len(model) == 1 + len(titles)
    assert float(model[1]) == pytest.approx(flow.judged.figures["model"]["roc_auc"].value, abs=1e-3)
    auc = flow.judged.figures["model"]["roc_auc"]
    assert interval[3:6] == [f"{auc.low:.3f}", "to", f"{auc.high:.3f}"]
    assert flow.judged.warnings == [
        f"It was tested on {flow.judged.test_posts} posts only: much of what follows may be chance."
    ]
    assert "too few test posts to say which is better" in flow.store.read("models/fused/0001/scorecard.html").decode()


def test_few_posts_and_models_of_other_labels_are_warned_of(flow, tmp_path):
    shutil.copytree(flow.store.root, tmp_path / "root")
    store = Store.open(tmp_path / "root")
    few, *others = flow.labelled.warnings
    assert (few.startswith("few posts ("), others) == (True, [])
    again = label.run(store, LabelSpec("log_views"), SplitSpec("author"))
    assert again.warnings == [few]
    other = label.run(store, LabelSpec("log_views", top_fraction=0.5), SplitSpec("author"))
    assert other.warnings[1].startswith("fused/1: trained on the labels before these")


def test_the_scorecard_shows_what_it_rests_on_and_a_frame_of_each_example(flow):
    card = json.loads(flow.store.read("models/fused/0001/scorecard.json"))
    tested = flow.labelled.splits["test"]
    shown = {tuple(one["shown"]) for one in card["ablation"]["subsets"]}
    assert card["ablation"]["posts"] == tested and len(shown) == 2 * 5  # each of five modalities alone, and without it
    whole = card["systems"][0]["figures"]
    assert card["ablation"]["whole"]["rmse"]["value"] == pytest.approx(whole["rmse"]["value"])
    assert {cut["share"] for cut in card["cuts"]} == {0.1, 0.2, 0.25, 0.3, 0.5}
    for grouping in card["groupings"]:
        assert sum(group["posts"] for group in grouping["groups"]) == tested
    assert card["card"]["fitted"] == {"viral above": pytest.approx(card["cuts"][2]["threshold"])}
    assert [each["name"] for each in card["card"]["inputs"]] == list(flow.feature_set.dims)
    for example in card["best"] + card["worst"]:
        assert example["image"].startswith("data:image/jpeg;base64,") and len(example["image"]) < 40_000


def predictions(flow):
    table, about = replaced.open_current(flow.store, flow.scored.table, PREDICTIONS)
    assert about["model"] == "fused/1"
    return {row["post_id"]: row for row in table.read().to_pylist()}


def test_every_post_is_scored(flow):
    assert (flow.scored.scored, flow.scored.without_features) == (CORPUS_POSTS, 0)
    for row in predictions(flow).values():
        assert 0 < row["probability"] < 1
        assert row["known"] is not None  # calibrated where it was trained
        assert row["low"] <= row["score"] <= row["high"]
        assert sum(dict(row["shares"]).values()) == pytest.approx(1)
        assert set(row["present"]) | set(row["missing"]) == {"metadata", "text", "audio", "editing", "image"}


def test_the_pipeline_and_scorer_here_say_what_the_batch_said(flow):
    batch = predictions(flow)
    posts = posts_table(flow.store).read().slice(0, 6).to_pylist()
    scorer = Scorer.load(flow.store, "fused")
    with Pipeline(flow.feature_set, flow.store, Settings()) as pipeline:
        outcomes = list(pipeline.extract(extraction_request(post) for post in posts))
    for outcome, score in zip(outcomes, scorer.score([each.vectors for each in outcomes]), strict=True):
        row = batch[outcome.post_id]
        assert (score.in_distribution, score.percentile is None) == (row["known"], not row["known"])
        for name in ("probability", "score", "low", "high"):
            assert getattr(score, name) == pytest.approx(row[name], abs=SAME, rel=0)
        assert dict(score.modalities) == pytest.approx(dict(row["shares"]), abs=SAME, rel=0)


def test_the_command_says_of_a_file_what_the_batch_said(flow, viral):
    posts, rows = posts_table(flow.store).read().to_pylist(), predictions(flow)
    for post in (posts[0], next(post for post in posts if post["sound_original"] is not None)):
        check_scored_alike(viral, flow, post, rows[post["post_id"]])
