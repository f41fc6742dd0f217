"""Real videos, from the table that came with them to a score."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from jobs import ingest
from jobs.ingesting.source import IngestSource
from tests.jobs.conftest import Flow, all_jobs, check_scored_alike
from viral.features.feature_table import features_table
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import posts_table
from viral.tables.schemas import LABELS, PREDICTIONS

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


VIDEOS = 18  # the smallest of 43, which have a fifth of the bytes: enough for three splits by author


@pytest.fixture(scope="module")
def tiktoks(shared_ray, shared_data, tmp_path_factory) -> Flow:
    """The smallest real videos, taken through every job."""
    shared_ray.up()
    folder = tmp_path_factory.mktemp("tiktoks")
    with (shared_data / "tiktok_videos" / "posts.csv").open(encoding="utf-8", newline="") as file:
        posts = list(csv.DictReader(file))
    for post in posts:
        post["file"] = str(shared_data / "tiktok_videos" / post["file"])
    with (folder / "posts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, posts[0])
        writer.writeheader()
        writer.writerows(sorted(posts, key=lambda post: Path(post["file"]).stat().st_size)[:VIDEOS])
    source = IngestSource("csv", (str(folder / "posts.csv"),), TIKTOK_VIDEOS)
    return all_jobs(Store.open(folder), source, "tiktoks", workers=0)


def test_all_posts_are_in_with_their_counts_at_the_first_time(shared_data, folder_store):
    source = IngestSource("csv", (str(shared_data / "tiktok_videos" / "posts.csv"),), TIKTOK_VIDEOS)
    summary = ingest.run(folder_store, source)
    assert (summary.rows, summary.posts, summary.duplicates, summary.rejects, summary.table_rows) == (43, 43, 0, 0, 43)
    posts = {post["post_id"]: post for post in posts_table(folder_store).read().to_pylist()}
    assert [posts["7264386992404696363"][name] for name in ("views", "likes", "comments", "shares")] == [67, 296, 13, 0]


def test_every_video_became_a_row(tiktoks):
    summary = tiktoks.filled
    assert (summary.posts, summary.done_before, summary.ok + summary.partial, summary.failed) == (VIDEOS, 0, VIDEOS, 0)
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
    assert tiktoks.labelled.labelled == len(rows) == VIDEOS
    assert about["split"]["kind"] == "author"
    sides = {}
    for row in rows:
        sides.setdefault(row["author_id"], set()).add(row["split"])
    assert all(len(where) == 1 for where in sides.values())
    assert {row["split"] for row in rows} == {"train", "validation", "test"}


def test_all_are_scored_and_a_file_as_the_batch_scored_it(tiktoks, viral):
    assert tiktoks.trained.rows == tiktoks.labelled.splits["train"]
    assert tiktoks.judged.test_posts == tiktoks.labelled.splits["test"]
    assert (tiktoks.scored.scored, tiktoks.scored.without_features) == (VIDEOS, 0)
    table, about = replaced.open_current(tiktoks.store, tiktoks.scored.table, PREDICTIONS)
    assert about["model"] == "tiktoks/1"
    rows = {row["post_id"]: row for row in table.read().to_pylist()}
    assert len(rows) == VIDEOS
    for row in rows.values():
        assert 0 < row["probability"] < 1
        assert row["low"] <= row["score"] <= row["high"]
    post = next(row for row in posts_table(tiktoks.store).read().to_pylist() if row["hashtags"])
    check_scored_alike(viral, tiktoks, post, rows[post["post_id"]])
