"""The posts table: values merged per column, and videos that no scrape can hide."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from viral.storage.store import Store
from viral.tables.data_file import write_data_file
from viral.tables.places import posts_table
from viral.tables.schemas import PLATFORM_FACTS, POST_SLIDES, POST_VIDEOS, POSTS


def posts(*rows: dict[str, Any]) -> pa.Table:
    whole = [{**dict.fromkeys(POSTS.names), "source": "s", "post_id": "1", **row} for row in rows]
    return pa.Table.from_pylist(whole, schema=POSTS)


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def only(store: Store, *columns: str) -> dict[str, Any]:
    (row,) = posts_table(store).read(columns=columns).to_pylist()
    return dict(row)


@pytest.mark.parametrize("log2_buckets", [0, 2])
def test_a_missing_value_never_hides_a_known_one(any_store: Store, log2_buckets: int) -> None:
    table = posts_table(any_store)
    scrapes = [
        {"scraped_at": day(1), "caption": "a", "views": 5, "hashtags": ["x"], "sound_original": True},
        {"scraped_at": day(3), "views": 9},
        {"scraped_at": day(2), "likes": 4, "views": 7, "hashtags": ["y"]},
        {"saves": 1, "views": 1},
    ]
    for scrape in scrapes:
        table.append(posts(scrape), log2_buckets)
    expected = {"scraped_at": day(3), "caption": "a", "views": 9, "likes": 4, "saves": 1, "hashtags": ["y"]}
    assert only(any_store, *expected) == expected
    for bucket in range(1 << log2_buckets):
        table.merge(None, log2_buckets, bucket)
    assert only(any_store, *expected) == expected
    assert only(any_store, "views") == {"views": 9}
    assert table.stored_rows() == 1


def test_what_the_platform_says_is_merged_by_column(any_store: Store) -> None:
    table = posts_table(any_store)
    table.append(posts({"scraped_at": day(1), "sticker_texts": ["a"], "is_ad": True, "duet_of": "7"}), 0)
    table.append(posts({"scraped_at": day(2), "effects": ["Zoom"], "is_ad": False, "location": "Rome"}), 0)
    expected = {"sticker_texts": ["a"], "effects": ["Zoom"], "is_ad": False, "duet_of": "7", "location": "Rome"}
    assert only(any_store, *PLATFORM_FACTS) == dict.fromkeys(PLATFORM_FACTS) | expected
    assert table.merge(None, 0, 0) == 0
    assert only(any_store, *expected) == expected


def test_files_of_earlier_versions_lack_columns(any_store: Store) -> None:
    old = posts({"scraped_at": day(1), "views": 5}).drop_columns(list(PLATFORM_FACTS))
    write_data_file(any_store, "posts", old, 0, 0)
    expected = {"views": 5, "subtitles": None, "sticker_texts": None, "is_ad": None}
    assert only(any_store, *expected) == expected
    posts_table(any_store).append(posts({"scraped_at": day(2), "is_ad": True}), 0)
    assert only(any_store, *expected) == expected | {"is_ad": True}


def test_rows_that_a_coarser_file_alone_knows_stay(any_store: Store) -> None:
    """A merge into more buckets, and a scrape that another run adds to the old ones meanwhile."""
    table = posts_table(any_store)
    table.append(posts({"scraped_at": day(1), "views": 5}), 0)
    for bucket in range(2):
        table.merge(None, 1, bucket)
    table.append(posts({"scraped_at": day(1), "caption": "late"}), 0)
    table.drop_superseded(1)
    assert only(any_store, "caption", "views") == {"caption": "late", "views": 5}


def test_a_web_address_does_not_hide_a_stored_video(any_store: Store) -> None:
    table = posts_table(any_store)
    table.append(posts({"scraped_at": day(1), "video_uri": "/here/a.mp4"}), 0)
    table.append(posts({"scraped_at": day(2), "video_uri": "https://example.org/a.mp4"}), 0)
    assert only(any_store, "video_uri") == {"video_uri": "/here/a.mp4"}
    table.merge(None, 0, 0)
    assert only(any_store, "video_uri") == {"video_uri": "/here/a.mp4"}


def test_web_addresses_do_not_hide_stored_slides(any_store: Store) -> None:
    table = posts_table(any_store)
    stored = {"slides": ["/here/1.jpg", "/here/2.jpg"], "kind": "photos", "sound_uri": "/here/s.mp3"}
    for number, scrape in enumerate((stored, {"slides": ["https://cdn/1"], "sound_uri": "https://cdn/s"}, {}), 1):
        table.append(posts({"scraped_at": day(number), **scrape}), 0)
    assert only(any_store, *stored) == stored
    table.merge(None, 0, 0)
    assert only(any_store, *stored) == stored


def test_fetched_slides_stand_for_web_addresses(any_store: Store) -> None:
    table = posts_table(any_store)
    web = {"slides": ["https://cdn/1"], "sound_uri": "https://cdn/s"}
    table.merge(posts({"scraped_at": day(1), **web}, {"post_id": "2", **web}), 0, 0)
    fetched = {"post_id": "1", "slides": ["photos/1.jpg"], "sound_uri": None, "fetched_at": day(2)}
    table.photo_sets.merge(pa.Table.from_pylist([fetched], schema=POST_SLIDES), 0, 0)
    assert table.read(columns=["slides", "sound_uri"]).to_pylist() == [web | {"slides": ["photos/1.jpg"]}, web]
    table.merge(posts({"scraped_at": day(3), "slides": ["/mine/1.jpg"]}), 0, 0)
    assert table.read(columns=["slides"])["slides"].to_pylist() == [["/mine/1.jpg"], web["slides"]]


@pytest.mark.parametrize("scraped", [None, "https://example.org/a.mp4"])
def test_a_fetched_video_outlives_every_scrape(any_store: Store, scraped: str | None) -> None:
    table = posts_table(any_store)
    table.merge(posts({"scraped_at": day(1), "video_uri": scraped}, {"post_id": "2", "video_uri": scraped}), 0, 0)
    fetched = {"post_id": "1", "video_uri": "videos/x.mp4", "sha256": "x", "fetched_at": day(2)}
    table.videos.merge(pa.Table.from_pylist([fetched], schema=POST_VIDEOS), 0, 0)
    table.merge(posts({"scraped_at": day(3), "video_uri": scraped}), 0, 0)
    assert table.read()["video_uri"].to_pylist() == ["videos/x.mp4", scraped]
    assert pa.concat_tables(table.scan(["video_uri"]))["video_uri"].to_pylist() == ["videos/x.mp4", scraped]
    table.merge(posts({"scraped_at": day(4), "video_uri": "/mine/own.mp4"}), 0, 0)
    assert table.read(columns=["post_id", "video_uri"]).to_pylist()[0] == {"post_id": "1", "video_uri": "/mine/own.mp4"}


def test_an_empty_table_has_all_columns(any_store: Store) -> None:
    assert posts_table(any_store).read().schema == POSTS
    assert posts_table(any_store).read(columns=["video_uri"]).num_rows == 0
