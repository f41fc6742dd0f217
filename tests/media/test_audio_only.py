"""Files without a picture: sound where sound alone is wanted, no video for all else."""

from __future__ import annotations

from pathlib import Path

import pytest

from viral.errors import NoVideoStreamError, TooLongError
from viral.media.audio import read_audio
from viral.media.decode import decode
from viral.media.limits import Limits
from viral.media.plan import Plan
from viral.media.requests import AudioTrack, Frames, Packets

SOUND = AudioTrack(16000)


@pytest.fixture(scope="module")
def mp3(shared_data: Path) -> str:
    return str(shared_data / "media_cases" / "files" / "Zulko+moviepy__media__crunching.mp3")


def test_the_sound_of_a_file_of_sound(mp3: str) -> None:
    media = decode(mp3, Plan.of([SOUND, AudioTrack(22050)]), Limits())
    audio, other = media.audio(SOUND), media.audio(AudioTrack(22050))
    assert audio is not None and other is not None
    assert (audio.samples == read_audio(mp3, 16000, Limits()).samples).all()
    assert len(other.samples) / len(audio.samples) == pytest.approx(22050 / 16000, rel=1e-3)
    facts = media.facts
    assert (facts.container, facts.audio_codec, facts.video_codec, facts.width) == ("mp3", "mp3", None, None)
    assert facts.seen_seconds == pytest.approx(8.3, abs=0.1)
    assert facts.bytes == Path(mp3).stat().st_size
    assert media.partial == ()


@pytest.mark.parametrize("more", [Frames(size=(8, 8), count=1), Packets()])
def test_pictures_of_it_cannot_be_had(mp3: str, more: Frames | Packets) -> None:
    with pytest.raises(NoVideoStreamError):
        decode(mp3, Plan.of([SOUND, more]), Limits())
    with pytest.raises(NoVideoStreamError):
        decode(mp3, Plan.of([]), Limits())


def test_too_long(mp3: str) -> None:
    with pytest.raises(TooLongError, match="max_seconds = 5"):
        decode(mp3, Plan.of([SOUND]), Limits(max_seconds=5))


def test_half_a_file_says_so(shared_data: Path, tmp_path: Path) -> None:
    whole = (
        shared_data / "media_cases" / "files" / "WyattBlue+auto-editor__resources__wav__pcm-f32le.wav"
    ).read_bytes()
    half = tmp_path / "half.wav"
    half.write_bytes(whole[: len(whole) // 2])
    media = decode(str(half), Plan.of([SOUND]), Limits())
    audio = media.audio(SOUND)
    assert audio is not None
    assert len(audio.samples) / 16000 == pytest.approx(3.3, abs=0.1)
