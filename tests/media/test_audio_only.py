"""Files without video: audio for plans that need only audio, no_video_stream for all others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.media.streams import SECONDS, write_tone
from viral.errors import NoVideoStreamError, TooLongError
from viral.media.audio import read_audio
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.plan import SamplingPlan
from viral.media.requests import AudioTrack, Frames, Packets

SOUND = AudioTrack(16000)


@pytest.fixture(scope="module")
def mp3(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tone(tmp_path_factory.mktemp("sound") / "tone.mp3")


def test_the_sound_of_a_file_of_sound(mp3: str) -> None:
    media = decode(mp3, SamplingPlan.from_requests([SOUND, AudioTrack(22050)]), MediaLimits())
    audio, resampled = media.audio(SOUND), media.audio(AudioTrack(22050))
    assert audio is not None and resampled is not None
    assert (audio.samples == read_audio(mp3, 16000, MediaLimits()).samples).all()
    assert len(resampled.samples) / len(audio.samples) == pytest.approx(22050 / 16000, rel=1e-3)
    facts = media.facts
    assert (facts.container, facts.audio_codec, facts.video_codec, facts.width) == ("mp3", "mp3", None, None)
    assert facts.seen_seconds == pytest.approx(8.3, abs=0.1)
    assert facts.bytes == Path(mp3).stat().st_size
    assert media.partial == ()


@pytest.mark.parametrize("more", [Frames(size=(8, 8), count=1), Packets()])
def test_pictures_of_it_cannot_be_had(mp3: str, more: Frames | Packets) -> None:
    with pytest.raises(NoVideoStreamError):
        decode(mp3, SamplingPlan.from_requests([SOUND, more]), MediaLimits())
    with pytest.raises(NoVideoStreamError):
        decode(mp3, SamplingPlan.from_requests([]), MediaLimits())


def test_too_long(mp3: str) -> None:
    with pytest.raises(TooLongError, match="max_seconds = 5"):
        decode(mp3, SamplingPlan.from_requests([SOUND]), MediaLimits(max_seconds=5))


def test_half_a_file_says_so(tmp_path: Path) -> None:
    whole = Path(write_tone(tmp_path / "whole.wav")).read_bytes()
    half = tmp_path / "half.wav"
    half.write_bytes(whole[: len(whole) // 2])
    media = decode(str(half), SamplingPlan.from_requests([SOUND]), MediaLimits())
    audio = media.audio(SOUND)
    assert audio is not None
    assert len(audio.samples) / 16000 == pytest.approx(SECONDS / 2, abs=0.1)
