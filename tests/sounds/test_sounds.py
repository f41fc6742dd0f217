"""One row per sound, from its posts."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from viral.extractors.extractor import Context, PostInput
from viral.extractors.popularity import Popularity
from viral.sounds.history import HISTORY_COLUMNS, compute_history
from viral.sounds.sounds import SOUND_COLUMNS, aggregate_sounds, sounds_root
from viral.storage.store import Store
from viral.tables.schemas import POSTS, SOUND_HISTORY
from viral.weights.resolve import resolve_local

STORE = Store("/root-of-posts")


def day(number: int) -> datetime:
    return datetime(2025, 3, number, tzinfo=UTC)


def aggregate(*posts: dict[str, Any]) -> list[dict[str, Any]]:
    """Sounds of posts with these columns."""
    rows = [{"post_id": f"p{number}", "source": "test", **post} for number, post in enumerate(posts)]
    table = pa.Table.from_pylist(rows, schema=POSTS).select(SOUND_COLUMNS)
    sounds = aggregate_sounds(table, STORE)
    assert sounds.schema == POSTS
    return list(sounds.to_pylist())


def test_counts_are_medians_and_uses_are_counted() -> None:
    first, second = aggregate(
        {"sound_id": "b", "views": 100, "likes": 3, "posted_at": day(3), "scraped_at": day(9)},
        {"sound_id": "a", "views": 7, "posted_at": day(1)},
        {"sound_id": "b", "views": 5, "likes": None, "posted_at": day(2), "scraped_at": day(8)},
        {"sound_id": "b", "views": 20, "likes": 9, "posted_at": day(4), "scraped_at": day(7)},
        {"sound_id": "b", "views": 10, "likes": None, "posted_at": None},
        {"sound_id": None, "views": 10**9},
        {"sound_id": "", "views": 10**9},
    )
    names = ("post_id", "sound_id", "views", "likes", "comments", "sound_uses")
    assert [first[name] for name in names] == ["a", "a", 7, None, None, 1]
    assert [second[name] for name in names] == ["b", "b", 10, 3, None, 4]
    assert (second["posted_at"], second["scraped_at"]) == (day(2), day(9))
    assert (second["author_id"], second["author_followers"], second["caption"]) == (None, None, None)


def test_uses_that_the_source_knows_of() -> None:
    [sound] = aggregate({"sound_id": "a", "sound_uses": 5000}, {"sound_id": "a", "sound_uses": 4000})
    assert sound["sound_uses"] == 5000


def test_the_audio_is_of_the_first_use_whatever_became_of_it() -> None:
    posts = [
        {"sound_id": "a", "views": 10**6, "posted_at": day(5), "video_uri": "videos/best.mp4", "duration_seconds": 9.0},
        {"sound_id": "a", "views": 1, "posted_at": day(1), "video_uri": None, "duration_seconds": 5.0},
        {"sound_id": "a", "views": 2, "posted_at": day(2), "video_uri": "videos/first.mp4", "duration_seconds": 7.0},
        {"sound_id": "c", "video_uri": "s3://elsewhere/c.mp4"},
        {"sound_id": "d", "video_uri": None},
    ]
    first, other, silent = aggregate(*posts)
    assert (first["video_uri"], first["duration_seconds"]) == ("/root-of-posts/videos/first.mp4", 7.0)
    assert other["video_uri"] == "s3://elsewhere/c.mp4"
    assert silent["video_uri"] is None
    named = [{"post_id": f"p{number}", **post} for number, post in enumerate(posts)]
    assert aggregate(*named[::-1]) == [first, other, silent]


def test_a_file_of_the_sound_itself_stands_before_any_post_and_the_web_does_not() -> None:
    first, other = aggregate(
        {"sound_id": "a", "posted_at": day(1), "video_uri": "v.mp4", "sound_uri": "https://cdn/1.mp3"},
        {"sound_id": "a", "posted_at": day(2), "video_uri": "w.mp4", "sound_uri": "sounds/a.mp3"},
        {"sound_id": "b", "posted_at": day(1), "video_uri": "v.mp4", "sound_uri": "https://cdn/2.mp3"},
    )
    assert first["video_uri"] == "/root-of-posts/sounds/a.mp3"
    assert other["video_uri"] == "/root-of-posts/v.mp4"


def test_no_sounds() -> None:
    assert aggregate({"sound_id": None}) == []
    assert sounds_root(STORE).root == "/root-of-posts/sounds"
    assert sounds_root(Store("s3://bucket/prefix")).root == "s3://bucket/prefix/sounds"


def histories(*posts: dict[str, Any]) -> dict[str, tuple[int, int | None]]:
    """Popularity of each post's sound before the post, by post."""
    rows = [{"post_id": f"p{number}", "source": "test", **post} for number, post in enumerate(posts)]
    table = compute_history(pa.Table.from_pylist(rows, schema=POSTS).select(HISTORY_COLUMNS))
    assert table.schema == SOUND_HISTORY
    return {row["post_id"]: (row["sound_posts_before"], row["sound_uses_before"]) for row in table.to_pylist()}


def test_what_is_known_of_a_sound_before_a_post_was_there_before_it() -> None:
    by_post = histories(
        {"sound_id": "a", "posted_at": day(5), "scraped_at": day(20), "sound_uses": 900},
        {"sound_id": "a", "posted_at": day(1), "scraped_at": day(3), "sound_uses": 40},
        {"sound_id": "a", "posted_at": day(4), "scraped_at": day(4), "sound_uses": 70},
        {"sound_id": "a", "posted_at": day(4), "scraped_at": None, "sound_uses": 10**9},
        {"sound_id": "a", "posted_at": None, "scraped_at": day(2), "sound_uses": 30},
        {"sound_id": "b", "posted_at": day(9), "scraped_at": day(10), "sound_uses": 5},
        {"sound_id": "b", "posted_at": day(10), "scraped_at": day(11), "sound_uses": None},
        {"sound_id": None, "posted_at": day(9)},
        {"sound_id": "", "posted_at": day(9)},
    )
    assert by_post == {
        "p1": (0, None),
        "p2": (1, 40),
        "p3": (1, 40),
        "p0": (3, 70),
        "p5": (0, None),
        "p6": (1, None),
    }
    assert histories({"sound_id": None}) == {}


def test_popularity_is_absent_where_nothing_is_known() -> None:
    encode = Popularity().load("cpu", resolve_local)
    assert encode(PostInput(None, Context(caption="a"))) is None
    known = encode(PostInput(None, Context(sound_posts_before=0, sound_uses_before=99)))
    assert known.tolist() == pytest.approx([0.0, 1.0, math.log(100), 1.0])
    posts_only = encode(PostInput(None, Context(sound_posts_before=3)))
    assert posts_only.tolist() == pytest.approx([math.log(4), 1.0, 0.0, 0.0])
