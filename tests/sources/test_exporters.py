"""Files of known exporters are recognised, and give the posts that they hold."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from viral.errors import ConfigError, SourceError
from viral.sources import ParsedBatch, shipped_maps
from viral.sources.checks import list_warnings

OPTIONS: dict[str, dict[str, Any]] = {
    "youtube_shorts_ko.csv": {"scraped_at": datetime(2024, 6, 1, tzinfo=UTC)},
    "creator_analytics.csv": {"zone": "America/Denver"},
}


def differences(parsed: ParsedBatch, expected: dict[str, Any]) -> list[str]:
    """What the posts of a file are not, as they should be; of several rows of a post, the last counts."""
    posts = {post["post_id"]: post for post in parsed.posts.to_pylist()}
    wrong = [f"{name}" for name in posts.keys() ^ {post["post_id"] for post in expected["posts"]}]
    for post in expected["posts"]:
        found = posts[post["post_id"]]
        for name, value in post.items():
            if name == "posted_between":
                between = datetime.fromisoformat(value[0]) <= found["posted_at"] <= datetime.fromisoformat(value[1])
                wrong += [] if between else [f"{post['post_id']}: {found['posted_at']}"]
            elif name != "row":
                right = datetime.fromisoformat(value) if name.endswith("_at") and value else value
                wrong += [] if found[name] == right else [f"{post['post_id']} {name}: {found[name]!r}, not {right!r}"]
    return wrong


def test_eight_layouts_give_their_expected_rows(read_file, shared_data: Path) -> None:
    for file in sorted((shared_data / "scrapes").iterdir()):
        if file.name.endswith(".expected.json") or file.suffix == ".md":
            continue
        expected = json.loads(file.with_suffix(".expected.json").read_text())
        parsed = read_file(None, file, **OPTIONS.get(file.name, {}))
        assert differences(parsed, expected) == [], file.name
        assert parsed.rows == expected["rows"]
        assert parsed.rejects["row"].to_pylist() == [reject["row"] for reject in expected["rejects"]]
        assert parsed.source in (expected["how"].get("named_map"), "csv", "creator_analytics", "tiktok_by_country")


AWEME = {
    "aweme_id": "7106594312292453001",
    "desc": "hi #Fyp",
    "create_time": 1654646400,
    "author": {"uid": "111", "unique_id": "someone", "follower_count": 50},
    "statistics": {"play_count": 100, "digg_count": 10, "comment_count": 1, "share_count": 2, "collect_count": 3},
    "music": {"id": 7106594312292453999, "id_str": "222", "title": "song", "is_original": True},
    "video": {"duration": 12_034},
}
TIKWM = {
    "video_id": "7106594312292453001",
    "title": "hi #Fyp",
    "create_time": 1654646400,
    "duration": 12,
    "author": {"id": "111", "unique_id": "someone"},
    "music_info": {"id": "222", "title": "song", "original": True},
    "play_count": 100,
    "digg_count": 10,
    "comment_count": 1,
    "share_count": 2,
    "collect_count": 3,
}
OLD = {
    "itemInfos": {"id": "7106594312292453001", "text": "hi #Fyp", "createTime": "1654646400", "playCount": 100}
    | {"diggCount": 10, "commentCount": 1, "shareCount": 2, "video": {"videoMeta": {"duration": 12}}},
    "authorInfos": {"userId": "111", "uniqueId": "someone"},
    "musicInfos": {"musicId": "222", "musicName": "song", "original": True},
}
VIDEO = {
    "id": "7106594312292453001",
    "desc": "hi #Fyp",
    "createTime": 1654646400,
    "author": {"id": "111", "uniqueId": "someone"},
    "music": {"id": "222", "title": "song", "original": True},
    "video": {"duration": 12},
    "stats": {"playCount": 100, "diggCount": 10, "commentCount": 1, "shareCount": 2, "collectCount": 3},
}
RESEARCH = {"id": 7106594312292453001, "create_time": 1654646400, "username": "111", "region_code": "US"} | {
    "video_description": "hi #Fyp",
    "voice_to_text": "so this is it",
    "view_count": 100,
    "like_count": 10,
    "comment_count": 1,
    "share_count": 2,
    "music_id": 222,
}
INSTALOADER = {
    "node": {
        "id": "7106594312292453001",
        "shortcode": "C",
        "__typename": "GraphVideo",
        "owner": {"id": "111"},
        "taken_at_timestamp": 1654646400,
        "edge_media_to_caption": {"edges": [{"node": {"text": "hi #Fyp"}}]},
        "video_view_count": 100,
        "edge_media_preview_like": {"count": 10},
        "edge_media_to_comment": {"count": 1},
        "video_duration": 12.0,
    },
    "instaloader": {"version": "4.14", "node_type": "Post"},
}
PYKTOK = (
    "video_id,video_timestamp,video_duration,video_diggcount,video_sharecount,video_commentcount,video_playcount,"
    "video_description,author_username\n7106594312292453001,2022-06-08T00:00:00,12,10,2,1,100,hi #Fyp,111\n"
)
YOUTUBE = {
    "id": "dQw4w9WgXcQ",
    "snippet": {"title": "hi #Fyp", "publishedAt": "2022-06-08T00:00:00Z", "channelId": "111"},
    "statistics": {"viewCount": "100", "likeCount": "10", "commentCount": "1"},
    "contentDetails": {"duration": "PT12S"},
}
APIFY = {
    "id": "7106594312292453001",
    "text": "hi #Fyp",
    "createTimeISO": "2022-06-08T00:00:00.000Z",
    "authorMeta": {"id": "111", "name": "someone"},
    "musicMeta": {"musicId": "222", "musicName": "song", "musicOriginal": True},
    "videoMeta": {"duration": 12},
    "isSlideshow": False,
    "playCount": 100,
    "diggCount": 10,
    "commentCount": 1,
    "shareCount": 2,
    "collectCount": 3,
}
FILES = {
    "tiktok_app": json.dumps({"aweme_list": [AWEME], "has_more": 1}),
    "tikwm": json.dumps({"code": 0, "data": {"videos": [TIKWM], "cursor": 1}}),
    "tiktok_api_2019": json.dumps([OLD]),
    "tiktok_api": json.dumps([VIDEO]),
    "tiktok_web": json.dumps({"itemList": [VIDEO], "hasMore": True, "extra": {"now": 1654732800000}}),
    "zeeschuimer_tiktok": json.dumps(
        {"source_platform": "tiktok.com", "timestamp_collected": 1654732800000, "data": VIDEO}
    ),
    "research_api": json.dumps({"data": {"videos": [RESEARCH], "cursor": 1}, "error": {"code": "ok"}}),
    "instaloader": json.dumps(INSTALOADER),
    "instagram_web": json.dumps({"data": {"user": {"edge_owner_to_timeline_media": {"edges": [INSTALOADER]}}}}),
    "pyktok": PYKTOK,
    "youtube_api": json.dumps({"kind": "youtube#videoListResponse", "items": [YOUTUBE]}),
    "apify_tiktok": json.dumps([APIFY]),
}


@pytest.mark.parametrize("name", FILES)
def test_an_exporter_is_recognised_by_the_form_of_its_file(read_bytes, name: str) -> None:
    parsed = read_bytes(None, FILES[name])
    [post] = parsed.posts.to_pylist()
    assert parsed.source == name
    assert parsed.rejects.num_rows == 0
    assert (post["author_id"], post["caption"], post["hashtags"]) == ("111", "hi #Fyp", ["fyp"])
    assert post["subtitles"] == ("so this is it" if name == "research_api" else None)
    assert post["posted_at"] == datetime(2022, 6, 8, tzinfo=UTC)
    assert (post["views"], post["likes"], post["comments"]) == (100, 10, 1)
    assert post["sound_id"] in ("222", None)
    assert post["duration_seconds"] in (12.0, 12.034, None)


@pytest.mark.parametrize("name", sorted(set(FILES) - {"instaloader", "pyktok"}))
def test_lines_and_pages_give_the_same_posts(read_bytes, name: str) -> None:
    one = read_bytes(None, FILES[name]).posts
    pages = read_bytes(None, f"{FILES[name]}\n{FILES[name]}\n", file="pages.jsonl").posts
    assert pages.num_rows == 2
    assert pages.slice(0, 1).drop_columns("scraped_at").equals(one.drop_columns("scraped_at"))


@pytest.mark.parametrize("given", sorted(FILES))
def test_the_map_of_another_exporter_is_refused(read_bytes, given: str) -> None:
    similar = [{"tiktok_api", "tiktok_web"}, {"apify_tiktok", "trending_json"}]
    for name in shipped_maps():
        if name == given or {name, given} in similar or shipped_maps()[name].one_post_per_file:
            continue
        message = re.escape(f"not a file of {name}, but one of {given}")
        with pytest.raises(SourceError, match=message):
            read_bytes(name, FILES[given])


def test_lines_and_lists_of_yt_dlp_are_read_as_its_files_are(read_bytes) -> None:
    rows = [
        {
            "id": f"71065943122924530{n}",
            "_type": kind,
            "extractor_key": "TikTok",
            "webpage_url": "https://x",
            "view_count": n,
        }
        for n, kind in ((10, "video"), (11, "url"))
    ]
    lines = "\n".join(map(json.dumps, rows))
    for content in (lines, json.dumps({"_type": "playlist", "id": "PL", "entries": rows, "extractor_key": "TikTok"})):
        parsed = read_bytes("yt_dlp", content, file="dump.jsonl" if content is lines else "dump.json")
        assert parsed.posts["views"].to_pylist() == [10, 11]


def test_names_that_mean_a_column_are_read_without_a_map(read_bytes) -> None:
    content = "Video ID;User Name;View Count;Likes;Published At;Description\nx1;bob;1.2K;7;2024-05-01 10:00;hi\n"
    parsed = read_bytes(None, content)
    [post] = parsed.posts.to_pylist()
    assert (post["post_id"], post["author_id"], post["views"], post["likes"]) == ("x1", "bob", 1200, 7)
    assert (post["caption"], post["posted_at"]) == ("hi", datetime(2024, 5, 1, 10, tzinfo=UTC))
    assert list_warnings(parsed.findings) == []
    more = read_bytes(None, content.replace("Likes", "Hearts given"))
    assert list_warnings(more.findings) == ["not read, as no column has such a name (--map reads them): Hearts given"]
    content = "Video link,Likes %,Total likes,Views (%),Total views\nhttps://youtu.be/dQw4w9WgXcQ,3,5,88,120\n"
    [post] = read_bytes(None, content).posts.to_pylist()
    assert (post["post_id"], post["views"], post["likes"]) == ("dQw4w9WgXcQ", 120, 5)
    nested = {"result": {"items": [{"videoId": "x1", "stats": {"views": 5}, "channel": {"username": "bob"}}]}}
    [post] = read_bytes(None, json.dumps(nested)).posts.to_pylist()
    assert (post["post_id"], post["views"]) == ("x1", 5)


def test_a_map_without_an_identifier_completes_the_one_that_is_recognised(read_bytes) -> None:
    content = "Video ID;Author;Aufrufe\nx1;bob;1.234\n"
    [post] = read_bytes(None, content, columns={"views": "Aufrufe", "locale": "de"}).posts.to_pylist()
    assert (post["post_id"], post["author_id"], post["views"], post["source"]) == ("x1", "bob", 1234, "csv")
    with pytest.raises(ConfigError, match="has no column 'Klicks' for views"):
        read_bytes(None, content, columns={"views": "Klicks"})
    [post] = read_bytes(None, FILES["tiktok_api"], columns={"views": "stats.diggCount"}).posts.to_pylist()
    assert (post["views"], post["likes"], post["source"]) == (10, 10, "tiktok_api")


def test_arrays_of_several_keys_are_read_alike(read_bytes) -> None:
    rows = {"de": [{"id": "1", "views": 1}], "fr": [{"id": "2", "views": 2}, {"id": "3", "views": 3}]}
    assert read_bytes(None, json.dumps({"countries": rows})).posts["post_id"].to_pylist() == ["1", "2", "3"]


def test_a_file_of_no_exporter_says_what_it_has(read_bytes) -> None:
    with pytest.raises(SourceError, match=r"of no known exporter.*It has: user, plays"):
        read_bytes(None, '{"user": "a", "plays": 1}\n{"user": "b", "plays": 2}\n')


def test_warnings_of_a_careful_colleague(read_bytes) -> None:
    posts = [
        {
            "post_id": str(7106594312292453001 + n),
            "views": n,
            "likes": 3,
            "posted_at": 1754646400,
            "scraped_at": 1654646400,
        }
        for n in range(5)
    ]
    found = list_warnings(read_bytes(None, json.dumps(posts)).findings)
    assert any(sentence.startswith("3 posts have fewer views than likes: ") for sentence in found)
    assert any(sentence.startswith("5 posts have a posted_at after their scraped_at") for sentence in found)
    assert any(sentence.startswith("5 posts have a posted_at that is hours or days from") for sentence in found)


def test_durations_in_milliseconds_are_noticed(read_bytes) -> None:
    def warned(*durations: int) -> bool:
        rows = "\n".join(f"{n},{duration}" for n, duration in enumerate(durations))
        found = list_warnings(read_bytes(None, f"video_id,duration\n{rows}\n").findings)
        return any("milliseconds (unit: ms)" in warning for warning in found)

    assert warned(15_320, 7_000, 61_000)
    assert not warned(15, 7, 61_000)


def test_the_identifier_of_an_unknown_exporter_is_in_most_rows(read_bytes) -> None:
    files = [{"url": "https://cdn/x.mp4"}]  # an address without an identifier
    rows = [{"clip": {"pk": n, "files": files}, "stats": {"plays": 5}} for n in range(3)]
    content = "\n".join(map(json.dumps, [*rows, {"error": "login", "url": "https://www.tiktok.com/@a/video/12345"}]))
    with pytest.raises(SourceError, match=r"name it .*It has: clip\.pk, clip\.files, stats\.plays, error, url"):
        read_bytes(None, content)
    columns = {"post_id": "clip.pk", "error": "error"}
    parsed = read_bytes(None, content, columns=columns, is_partial=True)
    assert parsed.posts["views"].to_pylist() == [5, 5, 5]
    assert parsed.rejects["reason"].to_pylist() == ["an error of the scraper, no post: login"]
    with pytest.raises(ConfigError, match=r"no 'clip\.id' for post_id; it has: clip\.pk"):
        read_bytes(None, content, columns={"post_id": "clip.id"}, is_partial=True)


@pytest.mark.parametrize("name", ["instagram_web", "instaloader"])
def test_hidden_likes_of_instagram_are_no_count(read_bytes, name) -> None:
    hidden = FILES[name].replace('"shortcode": "C"', '"shortcode": "C", "like_and_view_counts_disabled": true')
    [post] = read_bytes(None, hidden, file="file.json").posts.to_pylist()
    assert (post["views"], post["likes"]) == (100, None)


def test_a_mapped_column_without_values_is_named(read_bytes) -> None:
    columns = {"post_id": "id", "likes": "likes", "views": "views"}
    parsed = read_bytes("csv", "id,likes,views\n1,,5\n2,,x\n3,,7\n", columns=columns)
    assert list_warnings(parsed.findings) == [
        "no row has a value of likes",
        "1 value of views could not be read, as 'x' is not a count",
    ]
