"""Pictures are turned, mirrored and stretched as a player shows them."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from tests.media.encoded import HEIGHT, KEYS, PICTURES, WIDTH, picture, read, video_packets, write
from viral.media.requests import Frames

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
