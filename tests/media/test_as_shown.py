"""Time and geometry as a player shows them."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from viral.errors import TooLongError
from viral.media.clock import MAX_STRAYS
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import Media
from viral.media.plan import SamplingPlan
from viral.media.requests import AudioTrack, Frames

SOUND, PICTURES = AudioTrack(8000), Frames(every=0.5, size=(32, 32), fit="inside")
KEYS = Frames(count=1, size=(32, 32), choice="key", fit="inside")
WIDTH, HEIGHT, FPS, RATE = 96, 64, 10, 8000


def read(path: Path | str, *requests: AudioTrack | Frames) -> Media:
    return decode(str(path), SamplingPlan.from_requests(requests or (SOUND, PICTURES)), MediaLimits())


def picture() -> npt.NDArray[np.uint8]:
    """A picture whose corners all differ."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    image[: HEIGHT // 2, : WIDTH // 2] = (255, 0, 0)
    image[: HEIGHT // 2, WIDTH // 2 :] = (0, 255, 0)
    image[HEIGHT // 2 :, : WIDTH // 2] = (0, 0, 255)
    return image


def video_packets(
    container: av.container.OutputContainer, seconds: float, *, noisy: bool = False, **options: object
) -> Iterable[av.Packet]:
    stream = container.add_stream("libx264", rate=FPS, options={"bf": "0"})
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p"
    for name, value in options.items():
        setattr(stream, name, value)
    rng = np.random.default_rng(0)
    for number in range(round(seconds * FPS)):
        image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8) if noisy else picture()
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = number
        yield from stream.encode(frame)
    yield from stream.encode(None)


def audio_packets(container: av.container.OutputContainer, seconds: float, hertz: float = 500) -> Iterable[av.Packet]:
    stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
    for start in range(0, round(seconds * RATE), RATE // 10):
        times = np.arange(start, start + RATE // 10) / RATE
        samples = (16000 * np.sin(2 * np.pi * hertz * times)).astype("<i2")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, start
        yield from stream.encode(frame)


Move = Callable[[float], float]


def write(path: Path, video: float, *sounds: float, move_sound: Move = float, move_all: Move = float) -> Path:
    """Write a file of so many seconds of picture and of each sound track, with times moved."""
    with av.open(str(path), "w") as container:
        packets = list(video_packets(container, video))
        for seconds in sounds:
            packets += audio_packets(container, seconds)
        for packet in sorted(packets, key=lambda packet: float(packet.pts * packet.time_base)):
            move = move_sound if packet.stream.type == "audio" else float
            for name in ("pts", "dts"):
                moved = move_all(move(float(getattr(packet, name) * packet.time_base)))
                setattr(packet, name, round(moved / packet.time_base))
            container.mux(packet)
    return path


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


OPERATIONS = {
    "as it is": ((1, 0, 0, 1), lambda image: image),
    "a quarter clockwise": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "half a turn": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "a quarter counterclockwise": ((0, -1, 1, 0), np.rot90),
    "mirrored": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda image: image[::-1]),
    "transposed": ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
    "transposed about the other diagonal": ((0, -1, -1, 0), lambda image: np.rot90(image, 2).swapaxes(0, 1)),
}
"""Display matrix, and what ffmpeg does by it (its filters transpose, hflip and vflip)."""


def with_matrix(path: Path, matrix: Iterable[float]) -> Path:
    """Write (a, b, c, d) into the track header of an MP4 file."""
    a, b, c, d = (round(value * 65536) for value in matrix)
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44  # past version, times, id, duration, layer and volume: ISO/IEC 14496-12, 8.3.2
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def check_upright(path: Path, expected: npt.NDArray[np.uint8]) -> None:
    for request in (KEYS, PICTURES):
        media = read(path, request)
        batch = media.frames(request)
        assert batch is not None
        image = batch.data[0].astype(int)
        assert (media.facts.height, media.facts.width) == expected.shape[:2]
        assert (image.shape[0] > image.shape[1]) == (expected.shape[0] > expected.shape[1])
        for row in (0.25, 0.75):
            for column in (0.25, 0.75):
                shown = image[int(row * image.shape[0]), int(column * image.shape[1])]
                right = expected[int(row * expected.shape[0]), int(column * expected.shape[1])]
                assert np.abs(shown - right).max() < 30, (row, column)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_turned_and_mirrored_frames(tmp_path: Path, operation: str) -> None:
    matrix, expected = OPERATIONS[operation]
    check_upright(with_matrix(write(tmp_path / "a.mp4", 1), matrix), expected(picture()))


@pytest.mark.parametrize("degrees", [90.3, 180.4, -89.6, 0.3])
def test_a_matrix_a_hair_off_a_right_angle(tmp_path: Path, degrees: float) -> None:
    angle = math.radians(degrees)
    matrix = (math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle))
    check_upright(with_matrix(write(tmp_path / "a.mp4", 1), matrix), np.rot90(picture(), -round(degrees / 90)))


@pytest.mark.parametrize("matrix", [(0.7, 0.7, -0.7, 0.7), (0, 0, 0, 0)])
def test_other_matrices_leave_frames_as_they_are(tmp_path: Path, matrix: tuple[float, ...]) -> None:
    check_upright(with_matrix(write(tmp_path / "a.mp4", 1), matrix), picture())


@pytest.mark.parametrize(
    ("aspect", "size"), [("2", (64, 192)), ("1/2", (64, 48)), ("1000/1001", (64, 96)), ("100", (64, 96))]
)
def test_pixels_that_are_not_square(tmp_path: Path, aspect: str, size: tuple[int, int]) -> None:
    path = tmp_path / "sar.mp4"
    with av.open(str(path), "w") as container:
        for packet in video_packets(container, 1, sample_aspect_ratio=Fraction(aspect)):
            container.mux(packet)
    check_upright(path, np.repeat(picture(), 2, axis=1) if size[1] > 96 else picture()[:, :: 96 // size[1]])


def test_given_geometries(shared_data: Path) -> None:
    trouble = shared_data / "trouble"
    narrow = read(trouble / "sar_9_16.mp4", PICTURES)
    batch = narrow.frames(PICTURES)
    assert batch is not None
    assert (narrow.facts.width, narrow.facts.height, batch.data.shape[1:3]) == (180, 320, (57, 32))
    with av.open(str(trouble / "hflip.mp4")) as container:
        coded = next(container.decode(video=0)).to_ndarray(format="rgb24")
    full = Frames(count=1, size=coded.shape[:2], fit="stretch")
    upright = read(trouble / "hflip.mp4", full).frames(full)
    assert upright is not None
    difference, as_coded = (np.abs(upright.data[0].astype(int) - other).mean() for other in (coded[:, ::-1], coded))
    assert difference < 3 < as_coded


def test_a_cut_fragmented_file_gives_all_there_is(shared_data: Path) -> None:
    media = read(shared_data / "trouble" / "trunc_frag.mp4", PICTURES)
    batch = media.frames(PICTURES)
    assert batch is not None
    assert media.partial == ("truncated",)
    assert batch.pts_seconds.max() > 5
    assert media.facts.seen_seconds == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize("request_", [PICTURES, KEYS, Frames(count=2, size=(8, 8))])
def test_damage_in_the_middle_is_partial(shared_data: Path, request_: Frames) -> None:
    media = read(shared_data / "trouble" / "vonly_mid_zero.mp4", request_)
    assert media.partial == ("damaged",)
    assert media.frames(request_) is not None


@pytest.mark.parametrize("fill", ["zeros", "noise"])
def test_overwritten_pictures_are_partial(tmp_path: Path, fill: str) -> None:
    path = tmp_path / "noise.mp4"
    with av.open(str(path), "w") as container:
        for packet in video_packets(container, 4, noisy=True):
            container.mux(packet)
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    size = int.from_bytes(content[start - 8 : start - 4], "big")
    middle = range(start + size // 3, start + size // 2)
    noise = np.random.default_rng(0).bytes(len(middle))
    content[middle.start : middle.stop] = bytes(len(middle)) if fill == "zeros" else noise
    path.write_bytes(content)
    assert read(path, PICTURES).partial == ("damaged",)


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


def test_a_poster_is_not_the_video(tmp_path: Path) -> None:
    path = tmp_path / "poster.mkv"
    with av.open(str(path), "w") as container:
        poster = container.add_stream("mjpeg", rate=1)
        poster.width, poster.height, poster.pix_fmt = 640, 480, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((480, 640, 3), np.uint8), format="rgb24")
        frame.pts = 0
        packets = [*poster.encode(frame), *poster.encode(None), *video_packets(container, 2)]
        for packet in packets:
            container.mux(packet)
    media = read(path, PICTURES)
    assert (media.facts.width, media.facts.height) == (WIDTH, HEIGHT)
