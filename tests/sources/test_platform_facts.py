"""What a platform says of a post besides its counts: texts on the picture, effects, labels, sources, place."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from tests.sources.test_exporters import AWEME, INSTALOADER, RESEARCH, TIKWM, VIDEO, YOUTUBE
from viral.tables.schemas import PLATFORM_FACTS

FACTS = tuple(name for name in PLATFORM_FACTS if name != "subtitles")
GRAM: dict[str, Any] = INSTALOADER["node"]
PYKTOK = {"video_id": "7106594312292453001", "video_timestamp": "2022-06-08T00:00:00", "video_diggcount": 1}

TOLD: dict[str, tuple[Any, dict[str, Any]]] = {
    "tiktok_api": (
        [
            VIDEO
            | {
                "stickersOnItem": [
                    {"stickerType": 9, "stickerText": ["  WAIT \n FOR IT", ""]},
                    {"stickerType": 4, "stickerText": ["@someone", "WAIT FOR IT"]},
                ],
                "effectStickers": [{"ID": "1", "name": "Green Screen"}, {"ID": "2", "name": "Slow, Zoom"}],
                "isAd": False,
                "adAuthorization": True,
                "aigcLabelType": "2",
                "duetInfo": {"duetFromId": "7106594312292453777"},
                "stitchInfo": {"stitchFromId": "0"},
                "poi": {"name": "Pier 39", "city": "San Francisco"},
                "locationCreated": "US",
                "video": {
                    "duration": 12,
                    "subtitleInfos": [{"LanguageCodeName": "spa-ES"}, {"LanguageCodeName": "eng-US"}],
                    "claInfo": {"originalLanguageInfo": {"language": "eng-US"}},
                },
            }
        ],
        {
            "subtitles_language": "eng-US",
            "sticker_texts": ["WAIT FOR IT", "@someone"],
            "effects": ["Green Screen", "Slow, Zoom"],
            "is_ad": False,
            "paid_partnership": True,
            "made_with_ai": True,
            "duet_of": "7106594312292453777",
            "location": "Pier 39",
        },
    ),
    "tiktok_app": (
        {
            "aweme_list": [
                AWEME
                | {
                    "interaction_stickers": [{"type": 18, "text_info": "Me at school"}, {"type": 1, "text_info": ""}],
                    "stickers": "1160187,1160188",
                    "is_ads": True,
                    "commerce_info": {"branded_content_type": 0},
                    "aigc_info": {"aigc_label_type": 0},
                    "region": "DK",
                    "video": {"duration": 12_034, "cla_info": {"caption_infos": [{"lang": "dan-DK"}]}},
                }
            ]
        },
        {
            "subtitles_language": "dan-DK",
            "sticker_texts": ["Me at school"],
            "effects": ["1160187", "1160188"],
            "is_ad": True,
            "paid_partnership": False,
            "made_with_ai": False,
            "location": "DK",
        },
    ),
    "research_api": (
        [
            RESEARCH
            | {
                "effect_ids": ["35"],
                "sticker_info_list": [{"sticker_name": "so true", "sticker_id": 5}],
                "video_tag": {"type": "AIGC Type", "number": 1},
            }
        ],
        {"sticker_texts": ["so true"], "effects": ["35"], "made_with_ai": True, "location": "US"},
    ),
    "tikwm": (
        {"code": 0, "data": {"videos": [TIKWM | {"is_ad": False, "commerce_info": {"branded_content_type": 1}}]}},
        {"is_ad": False, "paid_partnership": True},
    ),
    "instaloader": (
        {
            "node": GRAM
            | {
                "is_ad": False,
                "is_paid_partnership": True,
                "location": {"id": "5", "name": "Biergarten"},
                "iphone_struct": {"gen_ai_detection_method": {"detection_method": "NONE"}},
            },
            "instaloader": INSTALOADER["instaloader"],
        },
        {"is_ad": False, "paid_partnership": True, "made_with_ai": False, "location": "Biergarten"},
    ),
    "youtube_api": (
        {
            "items": [
                YOUTUBE
                | {
                    "status": {"containsSyntheticMedia": True},
                    "paidProductPlacementDetails": {"hasPaidProductPlacement": False},
                }
            ]
        },
        {"paid_partnership": False, "made_with_ai": True},
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_the_platform_says_is_stored(read_bytes: Any, name: str) -> None:
    content, expected = TOLD[name]
    parsed = read_bytes(None, json.dumps(content))
    [post] = parsed.posts.to_pylist()
    assert parsed.source == name
    assert {fact: post[fact] for fact in FACTS} == dict.fromkeys(FACTS) | expected
    assert parsed.findings.unreadable == {}


def test_what_it_does_not_say_is_null(read_bytes: Any) -> None:
    silent = VIDEO | {"stickersOnItem": [], "effectStickers": None, "duetInfo": {"duetFromId": "0"}, "poi": {}}
    [post] = read_bytes(None, json.dumps([silent])).posts.to_pylist()
    assert {post[fact] for fact in FACTS} == {None}


def as_csv(row: dict[str, object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([row, row.values()])
    return text.getvalue()


def test_columns_of_tables(read_bytes: Any) -> None:
    flat = {"id": "7106594312292453001", "text": "hi", "authorMeta/name": "a", "playCount": 5, "diggCount": 1}
    flat |= {"createTimeISO": "2022-06-08T00:00:00.000Z", "isSlideshow": "false", "isSponsored": "true", "isAd": ""}
    flat |= {"effectStickers/0/ID": 1, "effectStickers/0/name": "Zoom", "effectStickers/1/name": "Glow"}
    flat |= {"locationMeta/locationName": "", "locationCreated": "FR", "videoMeta/subtitleLinks/0/language": "fra-FR"}
    [post] = read_bytes(None, as_csv(flat)).posts.to_pylist()
    told = {"effects": ["Zoom", "Glow"], "paid_partnership": True, "location": "FR", "subtitles_language": "fra-FR"}
    assert {fact: post[fact] for fact in FACTS} == dict.fromkeys(FACTS) | told
    ours = {"post_id": "x", "views": 3, "sticker_texts": '["a, b", "c"]', "effects": "['Zoom']", "is_ad": "False"}
    [post] = read_bytes(None, as_csv(ours | {"stitch_of": "y", "location": "Rome"})).posts.to_pylist()
    told = {"sticker_texts": ["a, b", "c"], "effects": ["Zoom"], "is_ad": False, "stitch_of": "y", "location": "Rome"}
    assert {fact: post[fact] for fact in FACTS} == dict.fromkeys(FACTS) | told


def test_a_cell_that_holds_an_object_is_no_value_of_its_keys(read_bytes: Any) -> None:
    row = {"video_id": "71", "title": "hi", "create_time": 1654646400, "play_count": 5, "digg_count": 1}
    row |= {"author.unique_id": "a", "commerce_info": "{'branded_content_type': 0}"}
    parsed = read_bytes(None, as_csv(row))
    assert (parsed.source, parsed.posts["paid_partnership"].to_pylist()) == ("tikwm", [None])
    assert parsed.findings.unreadable == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("one text", ["one text"]),
        ("[]", None),
        ("nan", None),
        ("[intro", ["[intro"]),
        ([{"stickerText": ["a"]}, {"name": "b"}, {"other": 1}, 5, None], ["a", "b", "5"]),
        (["[Verse]", "\ud83d"], ["[Verse]", "?"]),
    ],
)
def test_forms_of_a_list_of_texts(read_bytes: Any, given: object, expected: list[str] | None) -> None:
    rows = json.dumps([{"post_id": "x", "views": 1, "sticker_texts": given}])
    parsed = read_bytes(None, rows, columns={"post_id": "post_id", "views": "views", "sticker_texts": "sticker_texts"})
    assert parsed.posts["sticker_texts"].to_pylist() == [expected]
