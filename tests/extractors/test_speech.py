"""WhisperX's real path, with tiny models built here, whose transcripts are meaningless; on real and on made voices."""

from __future__ import annotations

import gc
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.extractors.made_voice import sentences, voice
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

VOICE = voice(8)
NOISE = np.random.default_rng(0).normal(0, 0.2, 8 * TRACK.rate)


def said(caption: str | None = None, samples: np.ndarray = VOICE) -> PostInput:
    """A post with media of its own, by whose identity transcripts are cached."""
    return replace(sounding(samples), context=Context(caption))


def run(spec: Speech, sample: PostInput) -> tuple[dict[str, float], dict[str, Any]]:
    answer = spec.load("cpu", resolve_local)(sample)
    assert isinstance(answer, VectorWithNote)
    assert (answer.vector.dtype, answer.vector.shape) == (np.float32, (Speech.dim,))
    return dict(zip(SPEECH_COLUMNS, answer.vector.tolist(), strict=True)), dict(answer.note)


def test_real_speech(whisper: Path, cases: Path, subtests: pytest.Subtests) -> None:
    for name in SPOKEN:
        with subtests.test(name):
            columns, note = run(Speech(weights=str(whisper)), heard(cases, name))
            assert SPOKEN[name] < columns["share"] <= 1
            check_speech(columns, note)
            if name == SILENCES:
                check_pauses(columns, note)
    assert Speech(weights=str(whisper)).load("cpu", resolve_local)(heard(cases, NO_SPEECH)) is None


def test_a_made_voice_is_speech(whisper: Path) -> None:
    for pitch in (110, 210):
        columns, note = run(Speech(weights=str(whisper)), sounding(voice(8, pitch)))
        assert columns["share"] > 0.9, pitch
        check_speech(columns, note)


def check_speech(columns: dict[str, float], note: dict[str, Any]) -> None:
    assert np.isfinite(list(columns.values())).all()
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


def test_silences_between_sentences_are_pauses(whisper: Path) -> None:
    columns, note = run(Speech(weights=str(whisper)), sounding(sentences(4, 4, 4)))
    check_pauses(columns, note)
    assert len(note["turns"]) == 3
    assert columns["pause_mean"] == pytest.approx(2, abs=0.5)


def check_pauses(columns: dict[str, float], note: dict[str, Any]) -> None:
    assert len(note["turns"]) > 2
    assert 0.5 < columns["pause_mean"] <= columns["pause_max"] < 10


def test_the_same_sound_gives_the_same_to_the_last_bit(whisper: Path) -> None:
    speech = Speech(weights=str(whisper)).load("cpu", resolve_local)
    first, other, again = (speech(sounding(voice(8, seed=seed))) for seed in (0, 1, 0))
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


def test_no_speech_is_absent_and_nothing_is_printed(whisper: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert Speech(weights=str(whisper)).load("cpu", resolve_local)(sounding(NOISE)) is None
    assert capfd.readouterr() == ("", "")


def test_words_have_times_where_there_is_an_aligner(whisper: Path, aligner: Path) -> None:
    sample = sounding(sentences(6, 6, 6, silence=1))  # long enough for all that a model of no sense says
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


def test_another_language_keeps_its_segments(whisper: Path, aligner: Path) -> None:
    spec = Speech(weights=str(whisper), language="vi", aligners={"en": str(aligner)})
    columns, note = run(spec, said())
    assert (note["language"], columns["language_vi"]) == ("vi", 1)
    assert note["segments"]
    assert "words" not in note


def test_a_model_of_english_alone(tmp_path: Path) -> None:
    weights = str(write_whisper(tmp_path, multilingual=False))
    columns, note = run(Speech(weights=weights), said())
    assert (note["language"], columns["language_confidence"], columns["language_en"]) == ("en", 1, 1)
    with pytest.raises(ConfigError, match="does not know the language 'de'"):
        Speech(weights=weights, language="de").load("cpu", resolve_local)


def test_a_post_is_transcribed_once(whisper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Transcriber] = []
    transcribe = Transcriber._transcribe
    monkeypatch.setattr(
        Transcriber, "_transcribe", lambda self, *arguments: calls.append(self) or transcribe(self, *arguments)
    )
    samples = [said("look at this"), said("look at this", NOISE)]
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


def test_subtitles_take_the_place_of_recognition(whisper: Path) -> None:
    plain, without = run(Speech(weights=str(whisper)), said())
    subtitled = replace(said(), context=Context(subtitles=" so  this is it\n"))
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


def test_words_are_those_said_and_written(whisper: Path) -> None:
    spoken, caption = said(), "look at this"
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
