from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from viral.extractors.calls_to_action import CALLS, find_calls
from viral.extractors.extractor import Context, PostInput, Vector
from viral.extractors.metadata import METADATA_COLUMNS
from viral.extractors.spec import Encode
from viral.extractors.wording import HASHTAG_BUCKETS, LANGUAGES, WORDING_COLUMNS, Wording, language_detector
from viral.weights.resolve import resolve_local

HASHED = [f"hashtags_{bucket}" for bucket in range(HASHTAG_BUCKETS)]


@pytest.fixture(scope="module")
def encode() -> Encode:
    return Wording().load("cpu", resolve_local)


def vector(encode: Encode, caption: str | None, hashtags: tuple[str, ...] | None = None) -> Vector | None:
    return encode(PostInput(None, Context(caption=caption, hashtags=hashtags)))


def columns(encode: Encode, caption: str | None, hashtags: tuple[str, ...] | None = None) -> dict[str, float]:
    result = vector(encode, caption, hashtags)
    assert result is not None
    assert result.shape == (Wording.dim,)
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    return dict(zip(WORDING_COLUMNS, result.tolist(), strict=True))


def language(result: dict[str, float]) -> str | None:
    languages = [code for code in (*LANGUAGES, "other") if result[f"language_{code}"]]
    assert len(languages) <= 1
    return languages[0] if languages else None


def test_absent_without_words_and_hashtags(encode: Encode) -> None:
    for caption, hashtags in ((None, None), ("", None), (" \n", ()), (None, ("#", " "))):
        assert vector(encode, caption, hashtags) is None
    assert encode(PostInput(None)) is None


def test_it_repeats_nothing_of_metadata() -> None:
    assert set(WORDING_COLUMNS).isdisjoint(METADATA_COLUMNS)
    assert len(set(WORDING_COLUMNS)) == len(WORDING_COLUMNS)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("I can't believe this happened to me today #fürdich", "en"),
        ("me gusta mucho este video, gracias a todos", "es"),
        ("Quando você vê isso na rua", "pt"),
        ("je ne sais pas quoi faire aujourd'hui", "fr"),
        ("Giấc mơ của chung 🤷🏻🦢 @someone", "vi"),
        ("สวัสดีค่ะทุกคน", "th"),
        ("今日はとても楽しかったです", "ja"),
        ("Сегодня был очень хороший день", "ru"),
        ("Tänään oli todella hyvä päivä ystävien kanssa", "other"),
        ("worth it", "en"),
    ],
)
def test_languages_are_told(encode: Encode, caption: str, expected: str) -> None:
    result = columns(encode, caption)
    assert language(result) == expected
    assert 0.3 <= result["language_confidence"] <= 1


def test_the_language_alone_is_that_of_the_vector() -> None:
    tell = language_detector()
    assert tell("the dog could not believe what he saw @someone #viral https://example.org") == "en"
    assert tell("ngày hôm nay của tôi thật là vui và tuyệt vời") == "vi"
    assert [tell("#fyp"), tell("12 🤷"), tell("")] == [None, None, None]


@pytest.mark.parametrize("caption", ["ok", "lol", "😱🇫🇷", "123", "#love #happy", "https://example.com/love-this @love"])
def test_of_a_word_or_none_no_language_is_told(encode: Encode, caption: str) -> None:
    result = columns(encode, caption)
    assert language(result) is None
    assert result["language_confidence"] < 0.3
    assert result["sentiment_known"] == result["sentiment"] == 0


def test_short_captions_are_less_sure(encode: Encode) -> None:
    short, long = (columns(encode, text) for text in ("so good", "this is so good that I will make it again"))
    assert short["language_confidence"] < long["language_confidence"]


def test_sentiment_is_of_english_alone(encode: Encode) -> None:
    good, bad = (columns(encode, text) for text in ("I love this place so much!", "this was the worst day of my life"))
    assert good["sentiment"] > 0.5 > -0.3 > bad["sentiment"]
    assert good["sentiment_positive"] > good["sentiment_negative"] == 0
    assert good["sentiment_known"] == bad["sentiment_known"] == 1
    elsewhere = columns(encode, "horrible, no me gusta nada este lugar tan triste")
    assert (elsewhere["sentiment"], elsewhere["sentiment_negative"], elsewhere["sentiment_known"]) == (0, 0, 0)


def test_questions_and_persons(encode: Encode) -> None:
    result = columns(encode, "Would you wear this? I made it myself")
    assert (result["opens_with_question"], result["asks_viewer"]) == (1, 1)
    assert result["first_person_share"] == pytest.approx(2 / 8)
    later = columns(encode, "We tried it\nHow hard can it be\uff1f")
    assert (later["opens_with_question"], later["asks_viewer"]) == (0, 0)
    assert columns(encode, "?!")["opens_with_question"] == 0


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("5 ways to fold 3 shirts in 1,5 s", (np.log1p(3), 1, 0)),
        ("My trip, pt. 2", (np.log1p(1), 0, 1)),
        ("Day 14 of learning chess", (np.log1p(1), 0, 1)),
        ("no numbers, #2024", (0, 0, 0)),
    ],
)
def test_numbers(encode: Encode, caption: str, expected: tuple[float, ...]) -> None:
    result = columns(encode, caption)
    assert (result["log_numbers"], result["opens_with_number"], result["numbered_part"]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("Follow me for part 2!", {"follow"}),
        ("follow @someone and drop a like", {"follow", "like"}),
        ("Like, comment and share", {"like", "comment", "share"}),
        ("Let me know in the comments \u2013 link in bio", {"comment", "link"}),
        ("Tag someone who\u2019d do this. Save this for later", {"tag", "save"}),
        ("Wait for it... send this to a friend", {"watch", "share"}),
        ("Shop now, what do you think?", {"link", "comment"}),
        ("Sígueme y comparte, enlace en mi perfil", {"follow", "share", "link"}),
        ("Theo dõi mình và thả tim nhé", {"follow", "like"}),
        ("he looks like this, I like this video of the likes of him", set()),
        ("learning to follow a recipe, the comments were kind", set()),
        ("she saved the day, sharing is caring, tagging along", set()),
        ("a link between the two, waiting for the bus", set()),
    ],
)
def test_calls(encode: Encode, caption: str, expected: set[str]) -> None:
    assert {call for call, present in find_calls(caption).items() if present} == expected
    result = columns(encode, caption)
    assert {call for call in CALLS if result[f"calls_to_{call}"]} == expected


def test_hashtags_are_hashed(encode: Encode) -> None:
    def bag(*tags: str) -> np.ndarray:
        result = columns(encode, None, tags)
        return np.array([result[name] for name in HASHED])

    assert np.array_equal(bag("fyp", "dogs"), bag("#Dogs", "fyp", "FYP"))
    assert sorted(np.abs(bag("fyp"))) == [0] * (HASHTAG_BUCKETS - 1) + [1]
    np.testing.assert_allclose(bag("fyp", "dogs") * np.sqrt(2), bag("fyp") + bag("dogs"), atol=1e-6)
    many = np.stack([bag(f"tag{number}") for number in range(400)])
    assert (np.abs(many).sum(0) > 8).all()  # all buckets are used, by both signs
    assert (many.min(0) == -1).all()
    assert (many.max(0) == 1).all()
    from_caption = columns(encode, "look #fyp #dogs")
    assert np.array_equal([from_caption[name] for name in HASHED], bag("fyp", "dogs"))
    assert not any(columns(encode, "look #fyp", ())[name] for name in HASHED)


def test_the_same_in_another_process(encode: Encode) -> None:
    """Python's own hashes differ from one process to the next."""
    code = """
from viral.extractors.extractor import Context, PostInput
from viral.extractors.wording import Wording
encode = Wording().load("cpu", None)
print(encode(PostInput(None, Context(caption="Would you? #fyp #dogs"))).tobytes().hex())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = vector(encode, "Would you? #fyp #dogs")
    assert here is not None
    assert done.stdout.strip() == here.tobytes().hex()


def test_long_and_strange_captions(encode: Encode) -> None:
    for caption in ("good " * 20_000, "a" * 50_000, "\udce4\x00 bad surrogate", "?" * 5000, "\u200b", "#" * 3000):
        columns(encode, caption)


def test_on_real_captions(encode: Encode, shared_data: Path) -> None:
    with (shared_data / "tiktok_videos" / "posts.csv").open(encoding="utf-8") as file:
        english = [row["video_description"] for row in csv.DictReader(file)]
    with (shared_data / "vn_tiktok" / "raw_data.csv").open(encoding="utf-8-sig") as file:
        vietnamese = [row["vid_caption"] for row in csv.DictReader(file)][:400]
    languages = [
        Counter(language(columns(encode, text)) for text in texts if text.strip()) for texts in (english, vietnamese)
    ]
    assert languages[0]["en"] > 0.7 * sum(languages[0].values())
    assert languages[1]["vi"] > 0.6 * sum(languages[1].values())
    assert languages[1]["en"] < 0.1 * sum(languages[1].values())
