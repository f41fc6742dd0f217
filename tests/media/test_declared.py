"""What the header or the scrape declares, and the file lacks: sound, a codec that can be decoded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from viral.errors import UnsupportedCodecError
from viral.features.posts import DecodedPost, ExtractionRequest
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import Media
from viral.media.plan import SamplingPlan
from viral.media.requests import AudioTrack, Packets
from viral.media.window import ClipWindow


def write(path: Path, *, audio_track: bool, sound: bool = False) -> Path:
    # A fragmented file has its header before its packets, so that it may declare a track that stays empty.
    with av.open(str(path), "w", options={"movflags": "empty_moov+default_base_moof"}) as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono") if audio_track else None
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 20 * number, np.uint8), format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None and sound:
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
            samples.sample_rate = 16000
            container.mux([*audio.encode(samples), *audio.encode(None)])
    return path


def read(path: Path, window: ClipWindow | None = None) -> Media:
    plan = replace(SamplingPlan.from_requests([AudioTrack(8000), Packets()]), window=window)
    return decode(str(path), plan, MediaLimits())


def test_an_empty_audio_track_is_flagged(tmp_path: Path) -> None:
    empty = read(write(tmp_path / "empty.mp4", audio_track=True))
    assert (empty.partial, empty.facts.audio_codec) == (("audio_missing",), None)
    assert (empty.audio(AudioTrack(8000)), empty.facts.seen_seconds) == (None, pytest.approx(1.0, abs=0.01))
    assert read(write(tmp_path / "full.mp4", audio_track=True, sound=True)).partial == ()
    assert read(write(tmp_path / "silent.mp4", audio_track=False)).partial == ()


def test_sound_that_only_the_scrape_declares_is_flagged(tmp_path: Path) -> None:
    silent = read(write(tmp_path / "silent.mp4", audio_track=False))
    loud = read(write(tmp_path / "full.mp4", audio_track=True, sound=True))
    request = ExtractionRequest("post", "silent.mp4", has_sound=True)
    assert DecodedPost(request, silent).audio_missing
    assert not DecodedPost(request, loud).audio_missing
    assert not DecodedPost(replace(request, window=ClipWindow(0, 1)), silent).audio_missing
    for says in (False, None):
        assert not DecodedPost(replace(request, has_sound=says), silent).audio_missing


def test_a_codec_without_a_decoder_is_named(tmp_path: Path) -> None:
    content = write(tmp_path / "h264.mp4", audio_track=True, sound=True).read_bytes()
    for code, name in (("bvc2", "bytevc2"), ("abcd", "abcd")):
        (tmp_path / "other.mp4").write_bytes(content.replace(b"avc1", code.encode()))
        with pytest.raises(UnsupportedCodecError, match=f"no decoder for the video codec {name}"):
            read(tmp_path / "other.mp4")
