"""43 real videos, from the table that came with them to a score."""

from __future__ import annotations

import json
import math
from datetime import datetime

import pytest

from jobs.backfilling.stages import extraction_request
from jobs.ingesting.source import IngestSource
from tests.jobs.conftest import Flow, all_jobs
from viral.config import Settings
from viral.features.feature_table import features_table
from viral.features.pipeline import Pipeline
from viral.scoring.scorer import Scorer
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import posts_table
from viral.tables.schemas import LABELS, PREDICTIONS

SAME = 1e-6
TIKTOK_VIDEOS = {
    "post_id": "id",
    "author_id": "username",
    "posted_at": "create_time",
    "caption": "video_description",
    "duration_seconds": "duration",
    "views": "views_t1",
    "likes": "likes_t1",
    "comments": "comments_t1",
    "shares": "shares_t1",
    "video_uri": "file",
}


@pytest.fixture(scope="module")
def tiktoks(shared_ray, shared_data, tmp_path_factory) -> Flow:
    """The 43 real videos, taken through every job."""
    shared_ray.up()
    source = IngestSource("csv", (str(shared_data / "tiktok_videos" / "posts.csv"),), TIKTOK_VIDEOS)
    return all_jobs(Store.open(tmp_path_factory.mktemp("tiktoks")), source, "tiktoks", workers=0)


def test_all_posts_are_in_with_their_counts_at_the_first_time(tiktoks):
    summary = tiktoks.ingested
    assert (summary.rows, summary.posts, summary.duplicates, summary.rejects, summary.table_rows) == (43, 43, 0, 0, 43)
    posts = {post["post_id"]: post for post in posts_table(tiktoks.store).read().to_pylist()}
    assert [posts["7264386992404696363"][name] for name in ("views", "likes", "comments", "shares")] == [67, 296, 13, 0]


def test_every_video_became_a_row(tiktoks):
    summary = tiktoks.filled
    assert (summary.posts, summary.done_before, summary.ok + summary.partial, summary.failed) == (43, 0, 43, 0)
    assert summary.videos_per_second > 0
    rows = features_table(tiktoks.store, tiktoks.feature_set).read()
    assert rows["post_id"].to_pylist() == posts_table(tiktoks.store).read()["post_id"].to_pylist()
    assert rows["feature_set"].unique().to_pylist() == [tiktoks.feature_set.fingerprint]
    assert set(rows["status"].to_pylist()) <= {"ok", "partial"}
    for name, dim in tiktoks.feature_set.dims.items():
        vectors = [vector for vector in rows[name].to_pylist() if vector is not None]
        assert {len(vector) for vector in vectors} == {dim}
        assert all(map(math.isfinite, [value for vector in vectors for value in vector]))
    assert rows["sha256"].null_count == 0


def test_a_quarter_is_viral_and_no_author_is_on_two_sides(tiktoks):
    table, about = replaced.open_current(tiktoks.store, "labels/log_views", LABELS)
    rows = table.read().to_pylist()
    assert tiktoks.labelled.labelled == len(rows) == 43
    assert about["split"]["kind"] == "author"
    sides = {}
    for row in rows:
        sides.setdefault(row["author_id"], set()).add(row["split"])
    assert all(len(where) == 1 for where in sides.values())
    assert {row["split"] for row in rows} == {"train", "validation", "test"}


def test_the_model_says_what_it_was_made_of(tiktoks):
    card = Scorer.load(tiktoks.store, tiktoks.trained.model).saved.card
    assert card["rows"] == tiktoks.trained.rows == tiktoks.labelled.splits["train"]
    assert card["data_hash"] == tiktoks.trained.data_hash
    assert (card["sources"], card["notes"]) == (["csv"], [])
    assert not list(tiktoks.store.objects("runs"))


def test_the_scorecard_stands_beside_baselines(tiktoks):
    assert tiktoks.judged.test_posts == tiktoks.labelled.splits["test"]
    card = json.loads(tiktoks.store.read("models/tiktoks/0001/scorecard.json"))
    assert {"model", "constant", "duration_only", "metadata_gbm"} <= set(tiktoks.judged.figures)
    assert card["about"]["data_hash"] == tiktoks.trained.data_hash
    assert card["systems"][0]["figures"]["mape"]["value"] > 0  # log_views is a logarithm
    assert b"Scorecard of tiktoks/1" in tiktoks.store.read("models/tiktoks/0001/scorecard.html")


def test_the_scorecard_shows_what_it_rests_on_and_a_frame_of_each_example(tiktoks):
    card = json.loads(tiktoks.store.read("models/tiktoks/0001/scorecard.json"))
    tested = tiktoks.labelled.splits["test"]
    shown = {tuple(one["shown"]) for one in card["ablation"]["subsets"]}
    assert card["ablation"]["posts"] == tested and len(shown) == 2 * 5  # each of five modalities alone, and without it
    whole = card["systems"][0]["figures"]
    assert card["ablation"]["whole"]["rmse"]["value"] == pytest.approx(whole["rmse"]["value"])
    assert {cut["share"] for cut in card["cuts"]} == {0.1, 0.2, 0.25, 0.3, 0.5}
    for grouping in card["groupings"]:
        assert sum(group["posts"] for group in grouping["groups"]) == tested
    assert card["card"]["fitted"] == {"viral above": pytest.approx(card["cuts"][2]["threshold"])}
    assert [each["name"] for each in card["card"]["inputs"]] == list(tiktoks.feature_set.dims)
    for example in card["best"] + card["worst"]:
        assert example["image"].startswith("data:image/jpeg;base64,") and len(example["image"]) < 40_000


def predictions(tiktoks):
    table, about = replaced.open_current(tiktoks.store, tiktoks.scored.table, PREDICTIONS)
    assert about["model"] == "tiktoks/1"
    return {row["post_id"]: row for row in table.read().to_pylist()}


def test_every_post_is_scored(tiktoks):
    assert (tiktoks.scored.scored, tiktoks.scored.without_features) == (43, 0)
    for row in predictions(tiktoks).values():
        assert 0 < row["probability"] < 1
        assert row["known"] is not None  # calibrated where it was trained
        assert row["low"] <= row["score"] <= row["high"]
        assert sum(dict(row["shares"]).values()) == pytest.approx(1)
        assert set(row["present"]) | set(row["missing"]) == {"metadata", "text", "audio", "editing", "image"}


def test_the_pipeline_and_scorer_here_say_what_the_batch_said(tiktoks):
    batch = predictions(tiktoks)
    posts = posts_table(tiktoks.store).read().slice(0, 6).to_pylist()
    scorer = Scorer.load(tiktoks.store, "tiktoks")
    with Pipeline(tiktoks.feature_set, tiktoks.store, Settings()) as pipeline:
        outcomes = list(pipeline.extract(extraction_request(post) for post in posts))
    for outcome, score in zip(outcomes, scorer.score([each.vectors for each in outcomes]), strict=True):
        row = batch[outcome.post_id]
        assert (score.in_distribution, score.percentile is None) == (row["known"], not row["known"])
        for name in ("probability", "score", "low", "high"):
            assert getattr(score, name) == pytest.approx(row[name], abs=SAME, rel=0)
        assert dict(score.modalities) == pytest.approx(dict(row["shares"]), abs=SAME, rel=0)


def test_the_command_says_of_a_file_what_the_batch_said(tiktoks, viral):
    post = next(row for row in posts_table(tiktoks.store).read().to_pylist() if row["hashtags"])
    posted: datetime = post["posted_at"]
    context = ["--caption", post["caption"], "--posted-at", posted.strftime("%Y-%m-%dT%H:%M:%S")]
    context += [part for tag in post["hashtags"] for part in ("--hashtag", tag)]
    done = viral("score", post["video_uri"], "--model", "tiktoks", "--root", tiktoks.store.root, "--json", *context)
    assert (done.returncode, done.stderr) == (0, "")
    score, row = json.loads(done.stdout), predictions(tiktoks)[post["post_id"]]
    assert score["known"] == row["known"]
    for name in ("probability", "score"):
        assert score[name] == pytest.approx(row[name], abs=SAME, rel=0)
    assert score["interval"] == pytest.approx([row["low"], row["high"]], abs=SAME, rel=0)
    assert score["modalities"] == pytest.approx(dict(row["shares"]), abs=SAME, rel=0)
    assert (score["missing"], score["model"]) == (row["missing"], row["model"])
