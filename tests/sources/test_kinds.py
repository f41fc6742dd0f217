"""What a row is: a video, a story, a photo set (kept on request), or no post."""

from __future__ import annotations

import json
from typing import Any

import pytest

from viral.sources import ParsedBatch

WEB = {
    "id": "7106594312292453001",
    "desc": "hi",
    "createTime": 1654646400,
    "author": {"id": "111", "uniqueId": "someone"},
    "video": {"duration": 12},
    "stats": {"playCount": 100},
}
PICTURES = {
    "imagePost": {"images": [{"imageURL": {"urlList": ["https://cdn/1"]}}, {"imageURL": {"urlList": ["2.jpg"]}}]}
}
GRAM = {
    "id": "1",
    "shortCode": "C",
    "ownerId": "111",
    "commentsCount": 1,
    "likesCount": 2,
    "displayUrl": "https://cdn/0",
}
OWN = "post_id,views,kind,slides"


def of_web(read_bytes: Any, *rows: dict[str, Any], **options: Any) -> ParsedBatch:
    return read_bytes(None, json.dumps({"itemList": rows, "hasMore": True}), base_uri="/folder", **options)


def test_photo_sets_are_rejects_unless_kept(read_bytes: Any) -> None:
    rows = (
        WEB,
        {**WEB, **PICTURES, "id": "7106594312292453002", "music": {"playUrl": "song.mp3"}, "video": {"duration": 0}},
    )
    parsed = of_web(read_bytes, *rows)
    assert parsed.posts["kind"].to_pylist() == [None]
    (reason,) = parsed.rejects["reason"].to_pylist()
    assert reason == "not a video: photo set (imagePost.images[].imageURL.urlList[0]); --photos keeps it"
    kept = of_web(read_bytes, *rows, photos=True)
    assert kept.rejects.num_rows == 0
    video, photos = kept.posts.to_pylist()
    assert (video["kind"], video["slides"], video["sound_uri"]) == (None, None, None)
    assert (photos["kind"], photos["slides"]) == ("photos", ["https://cdn/1", "/folder/2.jpg"])
    assert (photos["sound_uri"], photos["duration_seconds"], video["duration_seconds"]) == (
        "/folder/song.mp3",
        None,
        12,
    )


@pytest.mark.parametrize(
    ("kind", "more", "expected"),
    [
        ("Video", {}, ("video", None)),  # its picture is the cover
        ("Image", {}, ("photos", ["https://cdn/0"])),
        ("Sidecar", {"images": ["https://cdn/1", "https://cdn/2"]}, ("photos", ["https://cdn/1", "https://cdn/2"])),
        ("Story", {}, ("story", None)),
    ],
)
def test_kinds_of_an_exporter(read_bytes: Any, kind: str, more: dict[str, Any], expected: tuple[Any, Any]) -> None:
    parsed = read_bytes("apify_instagram", json.dumps([{**GRAM, "type": kind, **more}]), photos=True)
    (post,) = parsed.posts.to_pylist()
    assert (post["kind"], post["slides"]) == expected


def test_what_is_no_post_says_why(read_bytes: Any) -> None:
    rows = [{**GRAM, "type": kind, "displayUrl": None} for kind in ("Playlist", "Sidecar")]
    parsed = read_bytes("apify_instagram", json.dumps(rows), photos=True)
    assert parsed.rejects["reason"].to_pylist() == [
        "not a video: Playlist (type)",
        "not a video: photo set (type), and its pictures are unknown",
    ]


def test_columns_of_a_table_of_ours(read_bytes: Any) -> None:
    rows = f'{OWN}\n1,5,photos,"[""a.jpg"", ""b.jpg""]"\n2,6,story,\n3,7,,a.jpg\n4,8,,\n'
    parsed = read_bytes("csv", rows, photos=True)
    assert parsed.posts["kind"].to_pylist() == ["photos", "story", "photos", None]
    assert parsed.posts["slides"].to_pylist() == [["a.jpg", "b.jpg"], None, ["a.jpg"], None]


def test_a_kind_of_anything_else_is_ignored(read_bytes: Any) -> None:
    parsed = read_bytes("csv", "post_id,views,kind\n1,5,youtube#video\n")
    assert (parsed.posts["kind"].to_pylist(), parsed.rejects.num_rows) == ([None], 0)


@pytest.mark.parametrize(
    ("product", "media", "expected"),
    [("story", 2, "story"), ("story", 1, "photos"), ("clips", 2, "video"), (None, 2, "video"), ("feed", 1, "photos")],
)
def test_stories_of_instagram(read_bytes: Any, product: str | None, media: int, expected: str) -> None:
    data = {"pk": "3679002956306686062", "code": "C", "taken_at": 1654646400, "media_type": media, "user": {"pk": "1"}}
    data |= {"product_type": product, "image_versions2": {"candidates": [{"url": "https://cdn/1"}]}}
    row = {"source_platform": "instagram.com", "timestamp_collected": 1654732800000, "data": data}
    parsed = read_bytes(None, json.dumps(row), file="posts.ndjson", photos=True)
    assert parsed.source == "zeeschuimer_instagram"
    assert parsed.posts["kind"].to_pylist() == [expected]


def test_stories_of_the_app(read_bytes: Any) -> None:
    aweme = {"aweme_id": "7106594312292453001", "create_time": 1654646400, "statistics": {"digg_count": 1}}
    pictures = {"image_post_info": {"images": [{"display_image": {"url_list": ["https://cdn/1"]}}]}}
    rows = [
        aweme | {"is_tiktok_story": True},
        aweme | {"aweme_id": "7106594312292453002", "is_tiktok_story": False},
        aweme | {"aweme_id": "7106594312292453003", "is_tiktok_story": False, **pictures},
    ]
    parsed = read_bytes(None, json.dumps({"aweme_list": rows}), photos=True)
    assert parsed.posts["kind"].to_pylist() == ["story", None, "photos"]
