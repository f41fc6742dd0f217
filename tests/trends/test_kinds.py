"""Which posts carry which items: words and hashtags of any language, copies of a video, creators."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tests.trends.made import days_ago, write_posts
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import feature_row, features_table
from viral.features.posts import ExtractionResult
from viral.media.media import Facts
from viral.storage.store import Store
from viral.trends.trends import Trends, compute_trends


@pytest.fixture
def store(tmp_path) -> Store:
    return Store.open(tmp_path)


def counts(trends: Trends, kind: str) -> dict[str, int]:
    return {row["key"]: row["counts"][-1] for row in trends.trends.to_pylist() if row["kind"] == kind}


CAPTIONS = {
    "Đẹp TRAI quá #xuhuong": {"đẹp", "trai", "quá"},
    "don\u2019t stop don't": {"don't", "stop"},
    "नमस्ते दुनिया": {"नमस्ते", "दुनिया"},
    "สวัสดีครับ ขอบคุณ": {"สวัสดีครับ", "ขอบคุณ"},
    "مَرْحَبًا بكم": {"مَرْحَبًا", "بكم"},
    "今天跳舞": {"今天", "天跳", "跳舞"},
    "cafe\u0301 café": {"café"},
    "see www.a.com/b https://x.y/z?q=w @some.one #tag \uff03印 a&amp;b 2024 😂 x": {"see"},
    "": set[str](),
}


def test_words_of_any_language(store: Store) -> None:
    write_posts(store, [{"caption": caption, "posted_at": days_ago(n)} for caption in CAPTIONS for n in range(3)])
    assert counts(compute_trends(store), "word") == dict.fromkeys(set().union(*CAPTIONS.values()), 3)


def test_a_hashtag_that_a_post_has_twice_counts_once(store: Store) -> None:
    tags = ["мода", "мода", "fypシ", "跳舞", "😂"]
    write_posts(store, [{"hashtags": tags, "posted_at": days_ago(n)} for n in range(3)])
    assert counts(compute_trends(store), "hashtag") == dict.fromkeys(["мода", "fypシ", "跳舞", "😂"], 3)


def test_copies_of_a_clip_count_once(store: Store) -> None:
    """Five authors post one file, three post files of their own; a hashtag of one copy is that copy's own."""
    posts: list[dict[str, Any]] = [
        {"sound_id": "s", "hashtags": ["t", "own"] if n == 3 else ["t"], "posted_at": days_ago(n / 2)} for n in range(8)
    ]
    write_posts(store, posts)
    feature_set = FeatureSet.from_dict({"name": "small", "extractors": ["metadata"]})
    hashes = ["same"] * 5 + ["a", "b", "c"]
    results = [ExtractionResult(f"post {n}", "ok", facts=Facts(sha256=name)) for n, name in enumerate(hashes)]
    table = features_table(store, feature_set)
    rows = [feature_row(result, feature_set) for result in results]
    table.append(pa.Table.from_pylist(rows, schema=table.schema), 0)
    found = compute_trends(store)
    assert (found.summary.copies, counts(found, "sound"), counts(found, "hashtag")) == (4, {"s": 4}, {"t": 4})
    # The earliest of the five stands for them.
    behind = {row["post_id"] for row in found.posts.to_pylist() if row["trend_id"] == "sound:s"}
    assert behind == {"post 4", "post 5", "post 6", "post 7"}


def test_creators_count_posts_that_do_well_for_their_age(store: Store) -> None:
    """Old posts have many views: a new one with fewer can still do better than others of its age."""
    old = [{"views": 1_000_000 + n, "posted_at": days_ago(60), "scraped_at": days_ago(0)} for n in range(200)]
    new = [{"views": 100 + n, "posted_at": days_ago(2), "scraped_at": days_ago(1)} for n in range(200)]
    star = [{"author_id": "star", "views": 5000, "posted_at": days_ago(2), "scraped_at": days_ago(1)}] * 2
    flood = [{"author_id": "flood", "views": 1, "posted_at": days_ago(1.9), "scraped_at": days_ago(1)}] * 50
    write_posts(store, old + new + star + flood)
    found = compute_trends(store)
    assert counts(found, "creator") == {"star": 2}
    [row] = [row for row in found.trends.to_pylist() if row["kind"] == "creator"]
    assert row["median_reach"] > 0.99 and row["authors"] == 1


def test_the_posts_behind_a_trend_are_those_with_the_greatest_reach(store: Store) -> None:
    posts = [{"sound_id": "s", "views": n, "posted_at": days_ago(3 + n / 100), "caption": f"c {n}"} for n in range(30)]
    write_posts(store, posts)
    behind = [row for row in compute_trends(store).posts.to_pylist() if row["trend_id"] == "sound:s"]
    assert [row["views"] for row in behind] == list(range(29, 19, -1))
    assert [row["rank"] for row in behind] == list(range(1, 11))
    assert behind[0]["caption"] == "c 29" and behind[0]["post_id"] == "post 29"
