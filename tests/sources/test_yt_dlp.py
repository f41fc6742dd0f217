from __future__ import annotations

import json
from datetime import UTC, datetime

from viral.tables.schemas import PLATFORM_FACTS

INFO = {
    "id": "6748451240264420610",
    "title": "#jassmanak #lehanga",
    "description": "#jassmanak #lehanga #leenabhushan",
    "timestamp": 1571246252,
    "upload_date": "20191016",
    "uploader": "leenabhushan",
    "uploader_id": "6691488002098119685",
    "channel_id": "MS4wLjABAAAA_Eb4",
    "channel_follower_count": 1200,
    "view_count": 1000,
    "like_count": 100,
    "comment_count": 10,
    "repost_count": 5,
    "save_count": 7,
    "duration": 13,
    "track": "Lehanga",
    "artists": ["Ysrbeats"],
    "webpage_url": "https://www.tiktok.com/@leenabhushan/video/6748451240264420610",
    "epoch": 1700000000,
    "ext": "mp4",
    "_type": "video",
    "formats": [{"url": "https://cdn/3"}],
}
FILE = "s3://bucket/raw/leena [6748451240264420610].info.json"


def test_every_field_has_its_column(read_bytes):
    parsed = read_bytes("yt_dlp", json.dumps(INFO), file=FILE, base_uri="s3://bucket/raw/")
    [post] = parsed.posts.to_pylist()
    assert post == {
        "post_id": "6748451240264420610",
        "source": "yt_dlp",
        "author_id": "6691488002098119685",
        "posted_at": datetime(2019, 10, 16, 17, 17, 32, tzinfo=UTC),
        "posted_at_from": None,
        "scraped_at": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        "caption": "#jassmanak #lehanga #leenabhushan",
        "hashtags": ["jassmanak", "lehanga", "leenabhushan"],
        "sound_id": None,
        "sound_title": "Lehanga",
        "sound_original": None,
        "sound_uri": None,
        "sound_uses": None,
        "duration_seconds": 13.0,
        "views": 1000,
        "likes": 100,
        "comments": 10,
        "shares": 5,
        "saves": 7,
        "author_followers": 1200,
        "page_url": "https://www.tiktok.com/@leenabhushan/video/6748451240264420610",
        "video_uri": "s3://bucket/raw/leena [6748451240264420610].mp4",
        "has_sound": None,
        "kind": "video",
        "slides": None,
        **dict.fromkeys(PLATFORM_FACTS),
    }


def test_the_audio_codec_says_whether_there_is_sound(read_bytes):
    for codec, expected in (("aac", True), ("none", False), (None, None)):
        parsed = read_bytes("yt_dlp", json.dumps(INFO | {"acodec": codec}), file=FILE)
        assert parsed.posts["has_sound"].to_pylist() == [expected]


def test_the_day_and_the_title_serve_where_nothing_better_is_there(read_bytes):
    less = {name: INFO[name] for name in ("id", "title", "upload_date", "uploader", "ext")}
    [post] = read_bytes("yt_dlp", json.dumps(less), file="a.info.json").posts.to_pylist()
    # The identifier holds the time of day, that of a foreign site does not.
    assert (post["posted_at"], post["posted_at_from"]) == (datetime(2019, 10, 16, 17, 17, 25, tzinfo=UTC), "id")
    [post] = read_bytes("yt_dlp", json.dumps({**less, "id": "dQw4w9WgXcQ"}), file="a.info.json").posts.to_pylist()
    assert (post["posted_at"], post["posted_at_from"]) == (datetime(2019, 10, 16, tzinfo=UTC), "day")
    assert (post["caption"], post["author_id"], post["video_uri"]) == ("#jassmanak #lehanga", "leenabhushan", "a.mp4")


def test_a_time_given_by_the_caller_is_for_files_that_say_none(read_bytes):
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    own = read_bytes("yt_dlp", json.dumps(INFO), scraped_at=moment).posts["scraped_at"].to_pylist()
    default = (
        read_bytes("yt_dlp", '{"id": "1"}', scraped_at=moment.replace(tzinfo=None)).posts["scraped_at"].to_pylist()
    )
    assert own != [moment]
    assert default == [moment]


def test_a_file_that_is_no_video_is_a_reject_and_no_error(read_bytes):
    for content, message in (
        ("{", "not JSON"),
        ("", "not JSON"),
        ('{"_type": "playlist"}', "not a video: playlist"),
        ("[]", "an array"),
    ):
        parsed = read_bytes("yt_dlp", content, file="a.info.json")
        assert (parsed.rows, parsed.posts.num_rows) == (1, 0)
        assert message in parsed.rejects["reason"].to_pylist()[0]
