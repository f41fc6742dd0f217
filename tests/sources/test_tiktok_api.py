from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from viral.tables.schemas import PLATFORM_FACTS

VIDEO = {
    "id": "7513039993741397256",
    "desc": "高铁 #china #中国高铁🚅 ",
    "createTime": 1749265942,
    "author": {"id": "6799838955094836230", "uniqueId": "zg.520"},
    "authorStats": {"followerCount": 427700},
    "authorStatsV2": {"followerCount": "427701"},
    "stats": {"collectCount": 5012, "commentCount": 1502, "diggCount": 68300, "playCount": 1900000, "shareCount": 2528},
    "statsV2": {"collectCount": "5012", "commentCount": "1502", "diggCount": "68300", "playCount": "1900001"},
    "music": {"id": "7287891047231933185", "title": "原声", "original": True, "playUrl": "https://cdn/2"},
    "video": {"duration": 17},
    "challenges": [{"title": "china"}],
    "textExtra": [{"hashtagName": "china"}, {"hashtagName": "中国高铁🚅"}, {"hashtagName": ""}],
}


def test_every_field_has_its_column(read_bytes):
    [post] = read_bytes("tiktok_api", json.dumps([VIDEO])).posts.to_pylist()
    assert post == {
        "post_id": "7513039993741397256",
        "source": "tiktok_api",
        "author_id": "6799838955094836230",
        "posted_at": datetime(2025, 6, 7, 3, 12, 22, tzinfo=UTC),
        "posted_at_from": None,
        "scraped_at": None,
        "caption": "高铁 #china #中国高铁🚅",
        "hashtags": ["china", "中国高铁🚅"],
        "sound_id": "7287891047231933185",
        "sound_title": "原声",
        "sound_original": True,
        "sound_uri": "https://cdn/2",
        "sound_uses": None,
        "duration_seconds": 17.0,
        "views": 1900001,
        "likes": 68300,
        "comments": 1502,
        "shares": 2528,
        "saves": 5012,
        "author_followers": 427701,
        "page_url": "https://www.tiktok.com/@zg.520/video/7513039993741397256",
        "video_uri": None,
        "has_sound": None,
        "kind": None,
        "slides": None,
        **dict.fromkeys(PLATFORM_FACTS),
    }


LINES = f"{json.dumps(VIDEO)}\n\n{json.dumps(VIDEO)}\n"
SHAPES = {
    "array": json.dumps([VIDEO, VIDEO]),
    "pretty": json.dumps([VIDEO, VIDEO], indent=2),
    "item list": json.dumps({"cursor": "1", "itemList": [VIDEO, VIDEO]}),
    "nested item list": json.dumps({"data": {"itemList": [VIDEO, VIDEO], "hasMore": True}}),
    "pages, one a line": json.dumps({"itemList": [VIDEO]}) + "\n" + json.dumps({"itemList": [VIDEO]}),
    "lines": LINES,
    "indented objects": f"{json.dumps(VIDEO, indent=1)}\n{json.dumps(VIDEO, indent=1)}",
    "byte order mark": "\ufeff" + json.dumps([VIDEO, VIDEO]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_posts(read_bytes, shape):
    parsed = read_bytes("tiktok_api", SHAPES[shape])
    assert (parsed.rows, parsed.posts.num_rows, parsed.rejects.num_rows) == (2, 2, 0)
    assert parsed.posts["views"].to_pylist() == [1900001] * 2


def test_of_lines_only_the_bad_ones_are_lost(read_bytes):
    parsed = read_bytes("tiktok_api", f"{LINES}{{'id': 1}}\n{LINES}", file="posts.jsonl")
    assert (parsed.rows, parsed.posts.num_rows) == (5, 4)
    [reject] = parsed.rejects.to_pylist()
    assert (reject["row"], reject["raw"]) == (3, "{'id': 1}\n")


def test_a_bad_first_line_is_lost_alone_where_the_name_says_lines(read_bytes):
    assert read_bytes("tiktok_api", "oops\n" + LINES, file="posts.jsonl").posts.num_rows == 2


def test_older_videos_have_counts_as_numbers_and_challenges(read_bytes):
    older = {name: value for name, value in VIDEO.items() if not name.endswith("V2") and name != "textExtra"}
    [post] = read_bytes("tiktok_api", json.dumps(older)).posts.to_pylist()
    assert (post["views"], post["author_followers"], post["hashtags"]) == (1900000, 427700, ["china"])


def test_batches_are_no_larger_than_asked(tmp_path):
    from tests.sources.conftest import read_as

    file = tmp_path / "many.json"
    file.write_text(json.dumps([{"id": number} for number in range(25)]))
    batches = list(read_as("tiktok_api", str(file), lambda path: open(path, "rb"), batch_rows=10))  # noqa: PTH123, SIM115 - as the reader takes it, which closes it
    assert [batch.rows for batch in batches] == [10, 10, 5]
    assert [name for batch in batches for name in batch.posts["post_id"].to_pylist()] == [str(n) for n in range(25)]


def test_nan_in_an_array_costs_one_field(read_bytes):
    rows = [VIDEO, {**VIDEO, "id": "2", "authorStatsV2": None, "authorStats": {"followerCount": float("nan")}}, VIDEO]
    parsed = read_bytes("tiktok_api", json.dumps(rows))
    assert (parsed.posts.num_rows, parsed.rejects.num_rows) == (3, 0)
    assert parsed.posts["author_followers"].to_pylist() == [427701, None, 427701]


def test_nan_below_a_key_and_a_file_that_breaks_off_for_another_reason(read_bytes):
    rows = '{"data": {"itemList": [{"id": "1"}, {"id": "2", "stats": {"playCount": NaN}}, {"id": "3"}]}}'
    parsed = read_bytes("tiktok_api", rows)
    assert (parsed.posts["post_id"].to_pylist(), parsed.rejects.num_rows) == (["1", "2", "3"], 0)
    parsed = read_bytes("tiktok_api", rows[:-20])
    assert (parsed.posts["post_id"].to_pylist(), parsed.rejects.num_rows) == (["1"], 1)
