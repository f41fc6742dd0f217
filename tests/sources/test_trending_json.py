from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest

from tests.sources.conftest import read_as
from viral.errors import SourceError
from viral.tables.schemas import PLATFORM_FACTS, POSTS, REJECTS

POST = {
    "id": "6907228749016714497",
    "text": "Up #Fyp",
    "createTime": 1608214517,
    "authorMeta": {"id": "68255", "name": "somebody"},
    "musicMeta": {"musicId": "679", "musicName": "Element", "musicOriginal": False, "playUrl": "https://cdn/1"},
    "videoMeta": {"duration": 15},
    "diggCount": 3710,
    "shareCount": 50,
    "playCount": 44800,
    "commentCount": 68,
    "hashtags": [{"name": "one"}, {"name": "two"}],
    "webVideoUrl": "https://www.tiktok.com/@somebody/video/6907228749016714497",
}


def test_the_real_dump_gives_all_its_posts(read_file, shared_data):
    parsed = read_file("trending_json", shared_data / "trending_dec2020" / "trending.json")
    assert (parsed.rows, parsed.posts.num_rows, parsed.rejects.num_rows) == (1000, 1000, 0)
    assert parsed.posts.schema == POSTS
    assert parsed.rejects.schema == REJECTS
    assert parsed.posts["post_id"].null_count == 0
    assert len(set(parsed.posts["post_id"].to_pylist())) == 1000
    assert parsed.posts["views"].to_pylist()[0] == 44800
    assert parsed.posts["posted_at"].to_pylist()[0] == datetime(2020, 12, 17, 14, 15, 17, tzinfo=UTC)


def test_every_field_has_its_column(read_bytes):
    [post] = read_bytes("trending_json", json.dumps({"headers": {}, "collector": [POST]})).posts.to_pylist()
    assert post == {
        "post_id": "6907228749016714497",
        "source": "trending_json",
        "author_id": "68255",
        "posted_at": datetime(2020, 12, 17, 14, 15, 17, tzinfo=UTC),
        "posted_at_from": None,
        "scraped_at": None,
        "caption": "Up #Fyp",
        "hashtags": ["one", "two"],
        "sound_id": "679",
        "sound_title": "Element",
        "sound_original": False,
        "sound_uri": "https://cdn/1",
        "sound_uses": None,
        "duration_seconds": 15.0,
        "views": 44800,
        "likes": 3710,
        "comments": 68,
        "shares": 50,
        "saves": None,
        "author_followers": None,
        "page_url": "https://www.tiktok.com/@somebody/video/6907228749016714497",
        "video_uri": None,
        "has_sound": None,
        "kind": None,
        "slides": None,
        **dict.fromkeys(PLATFORM_FACTS),
    }


@pytest.mark.parametrize("content", [[POST], {"collector": [POST], "zip": ""}, {"zip": "", "collector": [POST]}])
def test_a_bare_list_is_a_dump_too(read_bytes, content):
    assert read_bytes("trending_json", json.dumps(content)).posts.num_rows == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": ""}, "post_id (id): is missing"),
        ({"id": 6.907228749016714e18}, "post_id (id): '6.907228749016714e+18' lost digits"),
        ({"id": None, "error": "no such user"}, "an error of the scraper, no post: no such user"),
    ],
)
def test_a_row_without_a_post_is_a_reject_that_says_why(read_bytes, change, reason):
    parsed = read_bytes("trending_json", json.dumps([POST, {**POST, **change}, POST]))
    assert (parsed.rows, parsed.posts.num_rows) == (3, 2)
    [reject] = parsed.rejects.to_pylist()
    assert reject["row"] == 2
    assert reject["reason"].startswith(reason)
    assert reject["file"] == "folder/file"
    assert reject["raw"].startswith('{"id": ')


@pytest.mark.parametrize(
    ("change", "column", "example"),
    [
        ({"playCount": -7}, "views (playCount)", "'-7' is negative"),
        ({"playCount": "many"}, "views (playCount)", "'many' is not a count"),
        ({"playCount": {"n": 1}}, "views (playCount)", "playCount is an object, not a single value"),
        ({"createTime": 12}, "posted_at (createTime)", "'12' is a time before 1990 or after 2100"),
        (
            {"authorMeta": "somebody"},
            "author_id (authorMeta.id)",
            "authorMeta.name: expected an object with 'name', but it is the single value 'somebody'",
        ),
    ],
)
def test_a_value_that_cannot_be_read_costs_itself_alone(read_bytes, change, column, example):
    parsed = read_bytes("trending_json", json.dumps([POST, {**POST, **change}, POST]))
    assert (parsed.posts.num_rows, parsed.rejects.num_rows) == (3, 0)
    assert parsed.findings.unreadable[column] == 1
    assert parsed.findings.examples[column] == example
    assert parsed.posts[column.split()[0]].null_count == int(
        column.startswith("views")
    )  # others are in the address or the id


def test_tags_are_read_from_objects_and_from_texts(read_bytes):
    posts = read_bytes("trending_json", json.dumps([POST, {**POST, "hashtags": ["one"]}])).posts
    assert posts["hashtags"].to_pylist() == [["one", "two"], ["one"]]


def test_rows_that_are_no_objects_are_rejects(read_bytes):
    parsed = read_bytes("trending_json", json.dumps({"collector": [POST, 7, [POST], None]}))
    assert parsed.posts.num_rows == 1
    assert parsed.rejects["row"].to_pylist() == [2, 3, 4]
    assert parsed.rejects["reason"].to_pylist()[1] == "the row is an array, not an object"


def test_what_is_not_there_is_null(read_bytes):
    [post] = read_bytes("trending_json", '[{"id": 5, "authorMeta": null}]').posts.to_pylist()
    assert {name for name, value in post.items() if value is not None} == {"post_id", "source"}


def test_a_dump_that_breaks_off_gives_what_is_there(read_bytes):
    whole = json.dumps({"collector": [POST, POST, POST]})
    parsed = read_bytes("trending_json", whole[:-100])
    assert (parsed.rows, parsed.posts.num_rows) == (3, 2)
    assert "breaks off here" in parsed.rejects["reason"].to_pylist()[0]


def test_the_same_reject_has_the_same_id(read_bytes):
    content = json.dumps([{**POST, "id": ""}, {**POST, "id": None}])
    first, again = (read_bytes("trending_json", content).rejects["reject_id"].to_pylist() for _ in range(2))
    assert first == again
    assert len(set(first)) == 2


def test_a_long_raw_row_is_cut(read_bytes):
    rows = [{"id": "", "text": "x" * 100_000}, {"id": "1"}]
    [reject] = read_bytes("trending_json", json.dumps(rows)).rejects.to_pylist()
    assert len(reject["raw"]) == 4096


def test_half_a_surrogate_pair_does_no_harm(read_bytes):
    content = '{"id": "1", "text": "\\ud83d", "playCount": "\\ud83d"}\n'
    assert read_bytes("trending_json", content, file="a.jsonl").findings.unreadable == {"views (playCount)": 1}
    assert read_bytes("trending_json", content.replace("playCount", "x"), file="a.jsonl").posts.num_rows == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("id,text\n1,a", "is not a file of trending_json: it has id, text"),
        ('{"itemList": [], "cursor": 1}', "it holds itemList, cursor"),
    ],
)
def test_another_kind_of_file_is_an_error(read_bytes, content, message):
    with pytest.raises(SourceError, match=message):
        read_bytes("trending_json", content)


def test_an_empty_dump_gives_nothing():
    assert list(read_as("trending_json", "f", lambda _: io.BytesIO(b'{"collector": []}'))) == []
