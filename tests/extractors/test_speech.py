"""WhisperX's real path on real sound, with tiny models built here, whose transcripts are meaningless."""

from __future__ import annotations

import gc
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.extractors.tiny_speech import NO_SPEECH, SILENCES, SPOKEN, SYLLABLES, heard, sounding, write_whisper
from viral.config import Settings
from viral.errors import ConfigError
from viral.extractors.caption import Caption
from viral.extractors.encode import EncodedBatch, encode
from viral.extractors.extractor import Context, PostInput, VectorWithNote
from viral.extractors.feature_set import FeatureSet
from viral.extractors.speech import SPEECH_COLUMNS, Speech
from viral.extractors.transcription import TRACK, Transcriber
from viral.features.pipeline import Pipeline
from viral.features.posts import ExtractionRequest
from viral.media.media import Facts, Media
from viral.storage.store import Store
from viral.weights.resolve import resolve_local

pytestmark = pytest.mark.usefixtures("nothing_leaves_this_machine")


def run(spec: Speech, sample: PostInput) -> tuple[dict[str, float], dict[str, Any]]:
    answer = spec.load("cpu", resolve_local)(sample)
    assert isinstance(answer, VectorWithNote)
    assert (answer.vector.dtype, answer.vector.shape) == (np.float32, (Speech.dim,))
    return dict(zip(SPEECH_COLUMNS, answer.vector.tolist(), strict=True)), dict(answer.note)


def test_real_speech(whisper: Path, cases: Path, subtests: pytest.Subtests) -> None:
    for name in SPOKEN:
        with subtests.test(name):
            check_speech(whisper, cases, name)


def check_speech(whisper: Path, cases: Path, name: str) -> None:
    spec, sample = Speech(weights=str(whisper)), heard(cases, name)
    columns, note = run(spec, sample)
    assert np.isfinite(list(columns.values())).all()
    assert SPOKEN[name] < columns["share"] <= 1
    assert 0 < columns["confidence_min"] <= columns["confidence_mean"] < 1
    assert columns[f"language_{note['language']}"] == 1 if f"language_{note['language']}" in columns else True
    assert sum(value for key, value in columns.items() if key.startswith("language_") and len(key) > 11) <= 2
    words = note["text"].split()
    assert words
    assert set(words) <= set(SYLLABLES)
    assert columns["log_words"] == pytest.approx(np.log(len(words) + 1))
    assert " ".join(segment["text"] for segment in note["segments"]) == note["text"]
    assert columns["begins"] == pytest.approx(note["turns"][0][0])
    assert "words" not in note  # there is no aligner


def test_silences_between_sentences_are_pauses(whisper: Path, cases: Path) -> None:
    columns, note = run(Speech(weights=str(whisper)), heard(cases, SILENCES))
    assert len(note["turns"]) > 2
    assert 0.5 < columns["pause_mean"] <= columns["pause_max"] < 10


def test_the_same_sound_gives_the_same_to_the_last_bit(whisper: Path, cases: Path) -> None:
    speech = Speech(weights=str(whisper)).load("cpu", resolve_local)
    first, other, again = (speech(heard(cases, name)) for name in (*list(SPOKEN)[:2], next(iter(SPOKEN))))
    assert isinstance(first, VectorWithNote)
    assert isinstance(other, VectorWithNote)
    assert isinstance(again, VectorWithNote)
    assert np.array_equal(first.vector, again.vector)
    assert first.note == again.note != other.note


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(1), np.zeros(5 * TRACK.rate), None])
def test_silence_and_no_sound_are_absent(whisper: Path, samples: np.ndarray | None) -> None:
    speech = Speech(weights=str(whisper)).load("cpu", resolve_local)
    assert speech(PostInput(Media(Facts())) if samples is None else sounding(samples)) is None
    assert speech(PostInput(None)) is None


def test_no_speech_is_absent_and_nothing_is_printed(
    whisper: Path, cases: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert Speech(weights=str(whisper)).load("cpu", resolve_local)(heard(cases, NO_SPEECH)) is None
    assert capfd.readouterr() == ("", "")


def test_words_have_times_where_there_is_an_aligner(whisper: Path, aligner: Path, cases: Path) -> None:
    sample = heard(cases, SILENCES)  # long enough for all that a model of no sense says
    plain, without = run(Speech(weights=str(whisper), language="en"), sample)
    aligned, note = run(Speech(weights=str(whisper), language="en", aligners={"en": str(aligner)}), sample)
    assert aligned == plain
    assert plain["language_confidence"] == 1
    words = note.pop("words")
    assert note == without
    assert [word["word"] for word in words] == note["text"].split()
    starts = [word["start"] for word in words]
    assert starts == sorted(starts)
    assert starts[0] < starts[-1]
    assert all(0 <= word["start"] <= word["end"] <= 20 for word in words)
    assert all(0 <= word["score"] <= 1 for word in words)


def test_another_language_keeps_its_segments(whisper: Path, aligner: Path, cases: Path) -> None:
    spec = Speech(weights=str(whisper), language="vi", aligners={"en": str(aligner)})
    columns, note = run(spec, heard(cases, next(iter(SPOKEN))))
    assert (note["language"], columns["language_vi"]) == ("vi", 1)
    assert note["segments"]
    assert "words" not in note


def test_a_model_of_english_alone(tmp_path: Path, cases: Path) -> None:
    weights = str(write_whisper(tmp_path, multilingual=False))
    columns, note = run(Speech(weights=weights), heard(cases, list(SPOKEN)[1]))
    assert (note["language"], columns["language_confidence"], columns["language_en"]) == ("en", 1, 1)
    with pytest.raises(ConfigError, match="does not know the language 'de'"):
        Speech(weights=weights, language="de").load("cpu", resolve_local)


def test_a_post_is_transcribed_once(whisper: Path, cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Transcriber] = []
    transcribe = Transcriber._transcribe
    monkeypatch.setattr(
        Transcriber, "_transcribe", lambda self, *arguments: calls.append(self) or transcribe(self, *arguments)
    )
    names = (next(iter(SPOKEN)), NO_SPEECH)
    samples = [heard(cases, name, "look at this") for name in names]
    result = both(whisper, samples)
    assert result.errors == [{}, {}]
    assert [vectors["speech"] is None for vectors in result.vectors] == [False, True]
    assert len(calls) == 2
    assert len(set(calls)) == 1
    ids = {id(sample.media) for sample in samples}
    assert ids <= calls[0]._transcripts.keys()
    del samples
    gc.collect()
    assert ids.isdisjoint(calls[0]._transcripts)


def test_subtitles_take_the_place_of_recognition(whisper: Path, cases: Path) -> None:
    plain, without = run(Speech(weights=str(whisper)), heard(cases, next(iter(SPOKEN))))
    subtitled = replace(heard(cases, next(iter(SPOKEN))), context=Context(subtitles=" so  this is it\n"))
    columns, note = run(Speech(weights=str(whisper)), subtitled)
    assert (note["text"], note["turns"]) == ("so this is it", without["turns"])
    assert (columns["share"], columns["begins"]) == (plain["share"], plain["begins"])
    assert (columns["log_words"], columns["confidence_mean"]) == pytest.approx((np.log(5), 1))
    words, silent = (row["words"] for row in both(whisper, [subtitled, replace(subtitled, media=None)]).vectors)
    assert np.array_equal(words, Caption().load("cpu", resolve_local)(PostInput(None, Context("so  this is it"))))
    assert np.array_equal(words, silent)


def both(whisper: Path, samples: list[PostInput]) -> EncodedBatch:
    entries = [{"name": name, "params": {"weights": str(whisper)}} for name in ("speech", "words")]
    return encode(FeatureSet.from_dict({"name": "spoken", "extractors": entries}).build(), samples)


def test_words_are_those_said_and_written(whisper: Path, cases: Path) -> None:
    spoken, caption = heard(cases, next(iter(SPOKEN))), "look at this"
    silent = PostInput(Media(Facts()), Context(caption))
    vectors = both(whisper, [spoken, replace(spoken, context=Context(caption)), silent, PostInput(None)]).vectors
    spoken_only, together, written, nothing = (row["words"] for row in vectors)
    assert nothing is None
    assert np.array_equal(written, Caption().load("cpu", resolve_local)(silent))
    for one, other in ((spoken_only, together), (together, written)):
        assert not np.array_equal(one, other)
    assert np.linalg.norm(together) == pytest.approx(1, abs=1e-5)


def test_from_video_to_note(whisper: Path, cases: Path) -> None:
    """Through the sandbox that decodes, as a backfill does."""
    chosen = FeatureSet.from_dict(
        {"name": "s", "extractors": [{"name": "speech", "params": {"weights": str(whisper)}}]}
    )
    names = ["snapugc__421c8b59e121d32a1a0efe90be07d612.mp4", "gradio_wheel__muted_b.mp4"]
    with Pipeline(chosen, Store(cases), Settings()) as pipeline:
        spoken, muted = pipeline.extract(ExtractionRequest(name, name) for name in names)
    assert (spoken.status, muted.status, muted.vectors, muted.notes) == ("ok", "ok", {"speech": None}, {})
    assert set(json.loads(spoken.notes["speech"])) >= {"text", "language", "segments"}
