"""Maps that users write: expressions, flat names, and faults."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from viral.errors import ConfigError

MAP = {
    "rows": "data.list[]",
    "post_id": "key",
    "author_id": "=bob",
    "caption": "texts[0].value + more",
    "hashtags": "tags[].t | words",
    "views": "exact.n | counts/views",
    "likes": {"path": "likes", "values": {"many": "1000"}},
    "posted_at": {"path": "day + hour", "dates": "dmy", "zone": "Europe/Berlin"},
    "scraped_at": "$.meta.at",
    "sound_id": {"path": "sound", "pattern": "sound-([0-9]+)"},
    "page_url": "=https://site/{user.name}/{key}",
    "sound_title": "$file",
}
ROW = {
    "key": "1",
    "texts": [{"value": "hi"}],
    "more": "there",
    "tags": [{"t": "A"}, {"t": "b"}],
    "counts": {"views": "1.2K"},
    "likes": "many",
    "day": "21.05.2025",
    "hour": "11:44",
    "sound": "https://x/sound-77?",
    "user": {"name": "ann"},
}


def test_every_kind_of_expression(read_bytes) -> None:
    content = json.dumps({"meta": {"at": 1747907085}, "data": {"list": [ROW, {**ROW, "key": "2", "exact": {"n": 7}}]}})
    for form in (content, json.dumps([json.loads(content)]), json.dumps(json.loads(content), indent=1)):
        posts = read_bytes("mine", form, columns=MAP, file="folder/name.json").posts.to_pylist()
        assert [post["views"] for post in posts] == [1200, 7]
        post = posts[0]
        assert (post["author_id"], post["caption"], post["hashtags"]) == ("bob", "hi there", ["a", "b"])
        assert post["posted_at"] == datetime(2025, 5, 21, 9, 44, tzinfo=UTC)
        assert post["scraped_at"] == datetime(2025, 5, 22, 9, 44, 45, tzinfo=UTC)
        assert (post["likes"], post["sound_id"], post["sound_title"]) == (1000, "77", "name.json")
        assert (post["page_url"], post["source"]) == ("https://site/ann/1", "mine")


def test_flat_names_and_numbered_columns_stand_for_nested_ones(read_bytes) -> None:
    columns = {"post_id": "id", "views": "stats.views", "hashtags": "tags[].name", "author_id": "authors[0].id"}
    for sign in "./":
        names = [f"stats{sign}views", f"tags{sign}0{sign}name", f"tags{sign}1{sign}name", f"authors{sign}0{sign}id"]
        table = f"id,{','.join(names)}\n1,5,A,b,x\n2,6,,,y\n"
        posts = read_bytes("csv", table, columns=columns).posts
        assert posts["views"].to_pylist() == [5, 6]
        assert posts["hashtags"].to_pylist() == [["a", "b"], None]
        assert posts["author_id"].to_pylist() == ["x", "y"]
    flat = json.dumps([{"id": "1", "stats/views": 5}, {"id": "2", "stats.views": 6}])
    assert read_bytes("json", flat, columns={"post_id": "id", "views": "stats.views"}).posts["views"].to_pylist() == [
        5,
        6,
    ]


@pytest.mark.parametrize("is_partial", [False, True])
def test_the_rows_of_an_envelope_need_no_path(read_bytes, is_partial) -> None:
    content = json.dumps({"meta": {"n": 2}, "data": {"list": [{"key": "1", "plays": 3}, {"key": "2", "plays": 4}]}})
    parsed = read_bytes(None, content, columns={"post_id": "key", "views": "plays"}, is_partial=is_partial)
    assert parsed.posts["views"].to_pylist() == [3, 4]


def test_a_count_that_another_value_hides_is_null(read_bytes) -> None:
    columns = {
        "post_id": "id",
        "likes": {"path": "likes", "unless": "hidden"},
        "shares": {"path": "likes", "values": {3: None}},
    }
    for values in ([True, "no", None, 1], ["Yes", "FALSE", "", "since May"]):
        rows = [{"id": n, "likes": 3, "hidden": value} for n, value in enumerate(values)]
        table = "id,likes,hidden\n" + "\n".join(f"{row['id']},3,{row['hidden'] or ''}" for row in rows)
        for content in (table, json.dumps(rows)):
            posts = read_bytes(None, content, columns=columns).posts
            assert posts["likes"].to_pylist() == [None, 3, 3, None]
            assert posts["shares"].null_count == len(posts)
    with pytest.raises(ConfigError, match="has no column 'hidden' for likes"):
        read_bytes(None, "id,likes\n1,3\n", columns=columns)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"post_id": "a[b]"}, "is not a path"),
        (
            {"post_id": "id", "duration_seconds": {"path": "d", "unit": "hours"}},
            "unit of duration_seconds in the map is",
        ),
        ({"post_id": {"path": "id", "unit2": "ms"}}, "has no option 'unit2'"),
        ({"post_id": {"pattern": "x"}}, "lacks 'path'"),
        ({"post_id": {"path": "id", "pattern": "("}}, "is not a regular expression"),
        ({"post_id": "id", "zone": "Nowhere"}, "no time zone 'Nowhere'"),
        ({"post_id": "id", "extends": "nothing"}, "no map 'nothing'"),
    ],
)
def test_a_malformed_map_is_refused(read_bytes, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_bytes("mine", '[{"id": "1"}]', columns=columns)
