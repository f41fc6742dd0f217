from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from viral.extractors.extractor import Context, PostInput
from viral.extractors.feature_set import ExtractorEntry, FeatureSet
from viral.extractors.metadata import METADATA_COLUMNS, Metadata
from viral.media.media import Facts, Media
from viral.tables.schemas import COUNTS
from viral.weights.resolve import resolve_local

FACTS = Facts(width=576, height=1024, audio_codec="aac", declared_seconds=20.0, seen_seconds=19.5)
ENCODE = Metadata().load("cpu", resolve_local)


def columns(context: Context | None = None, facts: Facts | None = None) -> dict[str, float]:
    vector = ENCODE(PostInput(Media(facts) if facts else None, context or Context()))
    assert vector is not None
    assert vector.shape == (Metadata.dim,)
    assert vector.dtype == np.float32
    return dict(zip(METADATA_COLUMNS, vector.tolist(), strict=True))


def test_absent_when_nothing_is_known() -> None:
    assert ENCODE(PostInput(None)) is None


def test_media_alone_and_context_alone_are_enough() -> None:
    assert columns(facts=FACTS)["media_known"] == 1
    assert columns(Context(author_followers=0))["followers_known"] == 1


def test_unknown_values_are_zero_with_their_flag_down() -> None:
    result = columns(Context(author_followers=9))
    assert result.pop("followers_known") == 1
    assert result.pop("log_followers") == pytest.approx(math.log(10))
    assert set(result.values()) == {0.0}


def test_clock_is_that_of_utc_and_goes_round() -> None:
    result = columns(Context(posted_at=datetime(2024, 3, 4, 6, 0, tzinfo=UTC)))  # a Monday
    assert (result["hour_sin"], result["hour_cos"]) == pytest.approx((1, 0), abs=1e-6)
    assert (result["weekday_sin"], result["weekday_cos"]) == pytest.approx((0, 1))
    elsewhere = datetime(2024, 3, 4, 13, 0, tzinfo=timezone(timedelta(hours=7)))
    assert columns(Context(posted_at=elsewhere)) == result
    assert columns(Context(posted_at=datetime(2024, 3, 4, 6, 0))) == result


def test_wording_is_counted() -> None:
    result = columns(Context(caption="WOW!! You\u2019d do this? @a.b #tag 👩‍👩‍👧 👍🏽 🇻🇳"))
    counted = {
        "log_words": 7,  # WOW, You'd, do, this, a, b, tag
        "log_mentions": 1,
        "log_emoji": 3,
        "log_questions": 1,
        "log_exclamations": 2,
        "log_hashtags": 1,
    }
    for column, count in counted.items():
        assert result[column] == pytest.approx(math.log1p(count)), column
    assert result["second_person"] == 1
    assert result["upper_case_share"] == pytest.approx(4 / 18)


@pytest.mark.parametrize(("caption", "expected"), [("the youth of today", 0), ("Bạn có biết", 1), ("u up", 1)])
def test_second_person_is_a_word_of_its_own(caption: str, expected: int) -> None:
    assert columns(Context(caption=caption))["second_person"] == expected


def test_given_hashtags_come_before_those_in_the_caption() -> None:
    assert columns(Context(caption="#a", hashtags=()))["log_hashtags"] == 0
    assert columns(Context(caption="#a #b"))["log_hashtags"] == pytest.approx(math.log(3))


def test_empty_caption_is_known_to_be_empty() -> None:
    result = columns(Context(caption=""))
    assert result["caption_known"] == 1
    assert result["log_characters"] == 0


def test_file_facts() -> None:
    result = columns(facts=FACTS)
    assert result["duration_seconds"] == 19.5
    assert result["aspect_ratio"] == pytest.approx(0.5625)
    assert result["has_audio"] == 1
    assert columns(facts=Facts(declared_seconds=8.0))["duration_seconds"] == 8.0


def test_no_column_is_a_count_that_exists_only_after_posting() -> None:
    assert not [column for column in METADATA_COLUMNS for count in COUNTS if count in column]
    assert len(set(METADATA_COLUMNS)) == Metadata.dim


def test_real_posts_have_all_of_it(samples: list[PostInput]) -> None:
    for sample in samples:
        assert sample.media is not None
        result = columns(sample.context, sample.media.facts)
        assert all(value == 1 for column, value in result.items() if column.endswith("_known"))
        assert 5 < result["duration_seconds"] < 90
        assert result["log_emoji"] == pytest.approx(math.log(3))


def test_without_the_author_the_reach_is_unknown_and_all_else_the_same() -> None:
    sample = PostInput(Media(FACTS), Context(caption="a b", author_followers=500))
    with_author, alone = ENCODE(sample), Metadata(author=False).load("cpu", resolve_local)(sample)
    assert with_author is not None
    assert alone is not None
    differ = {name for name, a, b in zip(METADATA_COLUMNS, with_author, alone, strict=True) if a != b}
    assert differ == {"log_followers", "followers_known"}
    assert alone[METADATA_COLUMNS.index("followers_known")] == 0


def test_the_author_as_ever_is_no_parameter_in_a_fingerprint() -> None:
    assert Metadata().identity(resolve_local) == {}
    every, alone = (FeatureSet("m", (ExtractorEntry(Metadata(author=author)),)) for author in (True, False))
    assert every.fingerprint != alone.fingerprint
    assert FeatureSet.from_dict(alone.to_dict()) == alone
