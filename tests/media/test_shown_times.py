"""Pictures and sound come at the times at which a player shows and plays them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.encoded import FPS, PICTURES, RATE, SOUND, read, video_packets, write
from viral.errors import TooLongError
from viral.media.clock import MAX_STRAYS
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import Media
from viral.media.plan import SamplingPlan


def loud(media: Media) -> list[tuple[float, float]]:
    """Spans of sound that is not silent, in seconds to a tenth."""
    audio = media.audio(SOUND)
    assert audio is not None
    tenths = len(audio.samples) // (audio.rate // 10)
    blocks = np.abs(audio.samples[: tenths * (audio.rate // 10)]).reshape(tenths, -1).max(axis=1) > 0.1
    edges = np.flatnonzero(np.diff(np.concatenate([[False], blocks, [False]]).astype(int)))
    return [(start / 10, end / 10) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def test_sound_that_starts_late_is_late(tmp_path: Path) -> None:
    late = read(write(tmp_path / "late.mkv", 4, 1.5, move_sound=lambda time: time + 2))
    assert loud(late) == [(2.0, 3.5)]
    assert late.partial == ()


def test_a_gap_keeps_its_length(tmp_path: Path) -> None:
    gap = read(write(tmp_path / "gap.mkv", 4, 2, move_sound=lambda time: time + (1 if time >= 0.95 else 0)))
    assert loud(gap) == [(0.0, 1.0), (2.0, 3.0)]


def test_the_same_to_the_ear_is_the_same(shared_data: Path) -> None:
    late, silent = (read(shared_data / "trouble" / name).audio(SOUND) for name in ("a_late5.mp4", "a_ref.mp4"))
    assert late is not None and silent is not None
    assert len(late.samples) == pytest.approx(len(silent.samples), abs=RATE // 20)
    size = min(len(late.samples), len(silent.samples))
    energies = [np.square(audio.samples[:size]).reshape(-1, size).mean() for audio in (late, silent)]
    assert energies[0] == pytest.approx(energies[1], rel=0.02)
    assert np.abs(late.samples[: int(4.9 * RATE)]).max() < 1e-3 > np.abs(silent.samples[: int(4.9 * RATE)]).max()


def test_sound_that_changes_its_rate_is_resampled(tmp_path: Path) -> None:
    path = tmp_path / "change.aac"
    with path.open("wb") as file:
        for rate in (44100, 22050):
            part = tmp_path / f"{rate}.aac"
            with av.open(str(part), "w", format="adts") as container:
                stream = container.add_stream("aac", rate=rate, layout="mono")
                for start in range(0, 2 * rate, 1024):
                    tone = 0.5 * np.sin(2 * np.pi * 500 * np.arange(start, start + 1024) / rate)
                    frame = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], format="fltp", layout="mono")
                    frame.sample_rate, frame.pts = rate, start
                    container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
            file.write(part.read_bytes())
    audio = read(path, SOUND).audio(SOUND)
    assert audio is not None
    assert len(audio.samples) / RATE == pytest.approx(4, abs=0.2)
    for part in (audio.samples[:RATE], audio.samples[-RATE:]):  # as low in the second half as in the first
        assert np.argmax(np.abs(np.fft.rfft(part))) == pytest.approx(500, abs=3)


def test_a_longer_second_track_is_no_truncation(tmp_path: Path) -> None:
    for ending in ("mp4", "mkv"):
        ending_media = read(write(tmp_path / f"two.{ending}", 2, 2, 8) if ending == "mkv" else long_second(tmp_path))
        assert ending_media.partial == ()
        assert ending_media.facts.seen_seconds == pytest.approx(2, abs=0.2)


def test_a_second_track_beyond_the_limit_makes_no_video_too_long(tmp_path: Path) -> None:
    path = write(tmp_path / "two.mkv", 2, 2, 8)
    media = decode(str(path), SamplingPlan.from_requests([PICTURES]), MediaLimits(max_seconds=5))
    assert media.facts.seen_seconds == pytest.approx(2, abs=0.2)


def long_second(folder: Path) -> Path:
    """An MP4 file with a second sound track of eight seconds."""
    path = folder / "two.mp4"
    with av.open(str(path), "w") as container:
        packets = list(video_packets(container, 2))
        for seconds in (2, 8):
            stream = container.add_stream("aac", rate=44100, layout="mono")
            for start in range(0, seconds * 44100, 1024):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 44100, start
                packets += stream.encode(frame)
            packets += stream.encode(None)
        for packet in packets:
            container.mux(packet)
    return path


def test_a_clock_that_starts_late_is_no_truncation(tmp_path: Path) -> None:
    for ending in ("mkv", "mp4", "ts"):
        path = tmp_path / f"late.{ending}"
        media = read(write(path, 3, move_all=lambda time: time + 5), PICTURES)
        batch = media.frames(PICTURES)
        assert batch is not None
        assert media.partial == (), ending
        assert media.facts.seen_seconds == pytest.approx(3, abs=0.2)
        assert batch.pts_seconds.tolist() == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5], abs=0.02)


@pytest.mark.parametrize("stray", [900.0, 40_000.0])
def test_a_stray_packet_makes_no_video_too_long(tmp_path: Path, stray: float) -> None:
    for name, moved in (("sound", "move_sound"), ("both", "move_all")):
        path = write(tmp_path / f"{name}.mkv", 3, 3, **{moved: lambda time: stray if time > 2.85 else time})
        media = read(path)
        batch = media.frames(PICTURES)
        assert batch is not None
        assert media.facts.seen_seconds == pytest.approx(3, abs=0.2)
        assert media.partial == ()
        assert batch.pts_seconds.tolist() == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5], abs=0.02)


def test_a_file_that_goes_on_is_too_long(tmp_path: Path) -> None:
    limits = MediaLimits(max_seconds=10)
    path = write(tmp_path / "slow.mkv", 2, move_all=lambda time: 20 * time)  # a slide show
    with pytest.raises(TooLongError):
        decode(str(path), SamplingPlan.from_requests([PICTURES]), limits)
    assert MAX_STRAYS < 2 * FPS
