from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.media.streams import copy_streams
from viral.errors import UnreadableError
from viral.media.audio import read_audio
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.plan import SamplingPlan
from viral.media.requests import AudioTrack, Frames


def test_sound_keeps_its_length_at_every_rate(find: Callable[[str], str], subtests: pytest.Subtests) -> None:
    for ending, seconds in (("crunching.mp3", 8.31), ("EN_CSQU3054383.wav", 14.69), ("aac.m4a", 6.66)):
        for rate in (8000, 16000, 22050):
            with subtests.test(ending, rate=rate):
                audio = read_audio(find(ending), rate, MediaLimits())
                assert audio.rate == rate
                assert audio.samples.dtype == np.float32
                assert audio.samples.ndim == 1
                assert len(audio.samples) / rate == pytest.approx(seconds, abs=0.06)
                assert 0.01 < np.abs(audio.samples).max() <= 1.0


def test_a_tone_stays_where_it_is(tmp_path: Path) -> None:
    import wave

    path = tmp_path / "tone.wav"
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(44100) / 44100)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(np.repeat((tone * 32767).astype("<i2"), 2).tobytes())
    samples = read_audio(str(path), 16000, MediaLimits()).samples
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * 16000 / len(samples) == pytest.approx(1000, abs=2)
    assert np.abs(samples[1000:-1000]).max() == pytest.approx(0.5, abs=0.01)


def test_two_rates_come_from_one_decode(paths: list[str]) -> None:
    plan = SamplingPlan.from_requests([AudioTrack(16000), AudioTrack(22050)])
    media = decode(paths[-1], plan, MediaLimits())
    first, second = (media.audio(request) for request in plan.audio_requests)
    assert first is not None and second is not None
    assert len(first.samples) / 16000 == pytest.approx(len(second.samples) / 22050, abs=0.01)
    assert media.facts.decoder is None


def test_sound_is_cut_at_the_limit(paths: list[str]) -> None:
    assert len(read_audio(paths[-1], 16000, MediaLimits(max_seconds=2)).samples) == 32000


def test_no_sound(paths: list[str], tmp_path: Path) -> None:
    silent = str(copy_streams(Path(paths[0]), "video", tmp_path))
    plan = SamplingPlan.from_requests([AudioTrack(), Frames(count=1, size=(8, 8))])
    media = decode(silent, plan, MediaLimits())
    assert media.audio(AudioTrack()) is None
    assert media.partial == ()
    with pytest.raises(UnreadableError, match="no audio"):
        read_audio(silent, 16000, MediaLimits())


def test_broken_sound_leaves_the_picture(paths: list[str], tmp_path: Path) -> None:
    import av

    path = str(tmp_path / "broken.mp4")
    stills = Frames(count=2, size=(8, 8))
    with av.open(paths[-1]) as source, av.open(path, "w") as target:
        streams = {
            stream.index: target.add_stream_from_template(stream)
            for stream in (source.streams.video[0], source.streams.audio[0])
        }
        for packet in source.demux():
            if packet.dts is None or packet.stream_index not in streams:
                continue
            stream = streams[packet.stream_index]
            if packet.stream.type == "audio":
                noise = av.Packet(np.random.default_rng(packet.pts % 97).bytes(packet.size))
                noise.pts, noise.dts, noise.duration, noise.time_base = (
                    packet.pts,
                    packet.dts,
                    packet.duration,
                    packet.time_base,
                )
                packet = noise
            packet.stream = stream
            target.mux(packet)
    media = decode(path, SamplingPlan.from_requests([AudioTrack(), stills]), MediaLimits())
    assert media.partial == ("audio_failed",)
    assert media.audio(AudioTrack()) is None
    assert media.frames(stills) is not None
