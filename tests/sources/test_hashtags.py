from __future__ import annotations

import pyarrow as pa
import pytest

from viral.sources.hashtags import parse_hashtags


def from_caption(caption):
    return parse_hashtags(None, pa.array([caption], pa.string())).to_pylist()[0]


@pytest.mark.parametrize(
    ("caption", "tags"),
    [
        ("Not sure #fyp #dogTok", ["fyp", "dogtok"]),
        ("#fypシ and #ペット", ["fypシ", "ペット"]),
        ("#हिन्दी #เทรนด์วันนี้ #ရောက်ချင်တဲ့", ["हिन्दी", "เทรนด์วันนี้", "ရောက်ချင်တဲ့"]),
        ("#one#two, #three!", ["one", "two", "three"]),
        ("#family👩‍👩‍👧", ["family👩‍👩‍👧"]),
        ("#fyp again #FYP", ["fyp"]),
        ("#snake_case's", ["snake_case"]),
        ("\uff03全角。後", ["全角"]),
        ("a lone # and 🫠 #", []),
        ("none", []),
        (None, None),
    ],
)
def test_hashtags_of_a_caption(caption, tags):
    assert from_caption(caption) == tags


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("suckhoe, thaomoc, dongy", ["suckhoe", "thaomoc", "dongy"]),
        ("#a #b", ["a", "b"]),
        ("['a', 'b']", ["a", "b"]),
        ('["a","b"]', ["a", "b"]),
        ("hungmusic💫", ["hungmusic💫"]),
    ],
)
def test_a_column_of_text_is_split(text, tags):
    assert parse_hashtags([text], pa.array(["#other"])).to_pylist() == [tags]


def test_a_column_of_lists_is_taken():
    column = [["#A", "b", None], []]
    assert parse_hashtags(column, pa.array(["#other", "#other"])).to_pylist() == [["a", "b"], ["other"]]


def test_an_empty_cell_leaves_the_caption():
    assert parse_hashtags(["", None], pa.array(["#other", None])).to_pylist() == [["other"], None]
