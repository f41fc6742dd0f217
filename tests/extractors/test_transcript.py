"""What a transcript is counted as."""

from __future__ import annotations

import numpy as np
import pytest

from viral.extractors.speech import LANGUAGES, SPEECH_COLUMNS, _vector
from viral.extractors.transcript import Span, SpeechSegment, Transcript


def transcript(
    *segments: SpeechSegment,
    turns: tuple[Span, ...] = ((1.0, 2.0), (2.1, 4.0), (9.0, 10.0)),
    seconds: float = 20.0,
    language: str = "en",
) -> Transcript:
    return Transcript(seconds, turns, language, 0.75, segments)


def columns(heard: Transcript) -> dict[str, float]:
    return dict(zip(SPEECH_COLUMNS, _vector(heard).tolist(), strict=True))


TWO = (SpeechSegment(1.0, 4.0, "so this is it", 0.9), SpeechSegment(9.0, 10.0, "bye", 0.5))


def test_every_column() -> None:
    result = columns(transcript(*TWO))
    expected = {
        "share": 3.9 / 20,
        "opening_share": 1.9 / 3,
        "begins": 1.0,
        "turns_per_minute": 6.0,  # the tenth of a second at 2.0 is no pause
        "pause_mean": 5.0,
        "pause_max": 5.0,
        "words_per_second": 5 / 3.9,
        "log_words": np.log(6),
        "confidence_mean": (3 * 0.9 + 0.5) / 4,
        "confidence_min": 0.5,
        "language_confidence": 0.75,
        **{f"language_{code}": float(code == "en") for code in (*LANGUAGES, "other")},
    }
    assert result == pytest.approx(expected, abs=1e-6)


def test_speech_without_words_and_a_short_track() -> None:
    result = columns(transcript(SpeechSegment(0.5, 1.0, "", 0.2), turns=((0.5, 1.0),), seconds=1.0, language="sw"))
    assert result["opening_share"] == result["share"] == 0.5
    assert result["words_per_second"] == result["log_words"] == result["pause_max"] == 0
    assert (result["language_other"], sum(result[f"language_{code}"] for code in LANGUAGES)) == (1, 0)
    assert np.isfinite(list(columns(transcript()).values())).all()


def test_text_and_words_by_language() -> None:
    assert transcript(*TWO).text == "so this is it bye"
    japanese = transcript(SpeechSegment(1, 2, "今日は、", 1.0), SpeechSegment(2, 3, "晴れ!", 1.0), language="ja")
    assert (japanese.text, japanese.word_count) == ("今日は、晴れ!", 5)
