"""Everything in a bucket: posts, videos, features, model, predictions; the same to the byte as in a folder."""

from __future__ import annotations

import csv
import io

import pytest

from jobs import backfill, evaluate, ingest, label, score, train_network
from jobs.ingesting.source import IngestSource
from jobs.training.specs import TrainSpec
from viral.config import Settings
from viral.evaluation import test_predictions
from viral.evaluation.splits import SplitSpec
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.labels import LabelSpec
from viral.models.train_config import TrainConfig
from viral.promotion import champion
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import posts_table
from viral.tables.schemas import PREDICTIONS

POSTS = 14  # of which two thirds are more than the eight that a training needs
VECTORS = ("metadata", "caption", "acoustics", "craft", "efficientnet_lite0", "ngrams")


@pytest.fixture
def chosen(corpus, clips):
    """The posts of the shortest clips, each of an author of its own."""
    shortest = {clip.stem for clip in clips[:POSTS]}
    with (corpus / "posts.csv").open(encoding="utf-8", newline="") as file:
        posts = [post for post in csv.DictReader(file) if post["post_id"] in shortest]
    return [post | {"author_id": f"{post['author_id']}-{n}"} for n, post in enumerate(posts)]


def scraped(posts) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, posts[0])
    writer.writeheader()
    writer.writerows(posts)
    return text.getvalue().encode()


def test_the_flow_in_a_bucket(ray_session, s3_root, corpus, chosen, flow):
    store, light = Store.open(s3_root), FeatureSet.named("light")
    for post in chosen:
        store.upload(corpus / post["video_uri"], f"scrape/{post['video_uri']}")
    store.write("scrape/posts.csv", scraped(chosen))
    summary = ingest.run(store, IngestSource("csv", (f"{s3_root}/scrape/posts.csv",)))
    assert (summary.rows, summary.posts, summary.rejects) == (POSTS, POSTS, 0)
    uris = posts_table(store).read()["video_uri"].to_pylist()
    assert all(uri.startswith(f"{s3_root}/scrape/videos/") for uri in uris)

    filled = backfill.run(store, light, Settings())
    assert (filled.posts, filled.failed, filled.ok + filled.partial) == (POSTS, 0, POSTS)
    assert backfill.run(store, light, Settings()).done_before == POSTS
    rows = {row["post_id"]: row for row in features_table(store, light).read().to_pylist()}
    in_folder = {row["post_id"]: row for row in features_table(flow.store, light).read().to_pylist()}
    for post in chosen:
        for name in (*VECTORS, "sha256", "status", "reason", "decoder", "seen_seconds"):
            assert rows[post["post_id"]][name] == in_folder[post["post_id"]][name]

    assert label.run(store, LabelSpec("log_views"), SplitSpec("author")).labelled == POSTS
    trained = train_network.run(store, TrainSpec("m", light, "log_views"), TrainConfig(epochs=2, report_every=1))
    assert trained.epochs == 2
    assert {info.key for info in store.objects("runs")} <= {"runs/"}  # a folder's mark, from Ray
    judged = evaluate.run(store, trained.model, resamples=20)
    assert judged.html == f"{s3_root}/models/m/0001/scorecard.html"
    assert store.read("models/m/0001/scorecard.html").startswith(b"<!doctype html>")
    kept = test_predictions.read(store, "m", 1)
    assert (kept.num_rows, set(kept["post_id"].to_pylist()) <= set(rows)) == (judged.test_posts, True)
    assert champion.promote(store, "m", champion.PromotionPolicy()).version == 1
    assert score.run(store, "m@champion").scored == POSTS
    assert Registry(store).names() == ["m"]
    table, _ = replaced.open_current(store, "predictions/m-1", PREDICTIONS)
    assert table.read().num_rows == POSTS
    assert not list(store.objects("staging"))
