"""Copies of a video as they are posted again: encoded anew, scaled, cropped, mirrored, with a caption bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.uint8]
Change = Callable[[list[Plane]], list[Plane]]
"""Function of the planes of a frame: brightness (H, W), and two of colour, (H / 2, W / 2)."""

OPTIONS = {"preset": "ultrafast", "x264-params": "log-level=none"}
BAR = 0.12  # height of a caption bar, of the frame


def crop(fraction: float) -> Change:
    """Cut `fraction` of the width and of the height, half on each side."""

    def change(planes: list[Plane]) -> list[Plane]:
        rows, columns = (round(length * fraction / 2) for length in planes[1].shape)  # of the half-size planes
        cut = zip(planes, (2, 1, 1), strict=True)
        return [plane[rows * n : len(plane) - rows * n, columns * n : plane.shape[1] - columns * n] for plane, n in cut]

    return change


def caption(*, over: bool) -> Change:
    """Draw a caption bar over the top of the picture, or add it above the picture."""

    def change(planes: list[Plane]) -> list[Plane]:
        rows, width = round(len(planes[1]) * BAR), planes[1].shape[1]
        bars = [bar(2 * rows, 2 * width), *[np.full((rows, width), 128, np.uint8)] * 2]
        return [np.concatenate([b, plane[len(b) if over else 0 :]]) for b, plane in zip(bars, planes, strict=True)]

    return change


@cache
def bar(height: int, width: int) -> Plane:
    """A white bar with two lines of black text."""
    from PIL import Image, ImageDraw, ImageFont

    canvas, text = Image.new("L", (width, height), 235), "wait for it\nwhat she does"
    font, middle = ImageFont.load_default(max(6, height // 3)), (width // 2, height // 2)
    ImageDraw.Draw(canvas).multiline_text(middle, text, fill=16, anchor="mm", align="center", font=font)
    return np.asarray(canvas)


COPIES: Mapping[str, Change] = {
    "reencoded": lambda planes: planes,
    "scaled": lambda planes: planes,
    "cropped": crop(0.05),
    "mirrored": lambda planes: [plane[:, ::-1] for plane in planes],
    "captioned": caption(over=True),
}
"""Kinds of copies, each by what it does to a frame; `reencoded` has half the bit rate, `scaled` half the size."""
HARDER: Mapping[str, Change] = {"cropped_10": crop(0.1), "caption_above": caption(over=False)}


def write_copies(source: Path, folder: Path, kinds: Mapping[str, Change] = COPIES) -> dict[str, Path]:
    """Decode a video once and encode a copy of each kind, `KIND-NAME.mp4`, at its bit rate, without the sound."""
    paths = {kind: folder / f"{kind}-{source.stem}.mp4" for kind in kinds}
    with ExitStack() as stack:
        original = stack.enter_context(av.open(str(source)))
        picture = original.streams.video[0]
        picture.thread_type = "AUTO"
        rate = picture.bit_rate or original.bit_rate or 1_000_000
        files = {kind: stack.enter_context(av.open(str(path), "w")) for kind, path in paths.items()}
        streams: dict[str, av.VideoStream] = {}
        for frame in original.decode(picture):
            planes = split(frame.to_ndarray(format="yuv420p"))
            for kind, change in kinds.items():
                image = join(change(planes))
                copy = av.VideoFrame.from_ndarray(image, format="yuv420p")
                if kind not in streams:
                    stream = files[kind].add_stream("libx264", picture.average_rate, options=OPTIONS)
                    scale = 2 if kind == "scaled" else 1
                    stream.height, stream.width = copy.height // scale // 2 * 2, copy.width // scale // 2 * 2
                    stream.codec_context.time_base = picture.time_base
                    stream.bit_rate = rate // 2 if kind == "reencoded" else rate
                    streams[kind] = stream
                copy.pts, copy.time_base = frame.pts, frame.time_base
                files[kind].mux(streams[kind].encode(copy))
        for kind, stream in streams.items():
            files[kind].mux(stream.encode(None))
    return paths


def split(image: Plane) -> list[Plane]:
    """Split a frame in yuv420p, (3 H / 2, W), into its planes."""
    height, width = len(image) * 2 // 3, image.shape[1]
    return [image[:height], *image[height:].reshape(2, height // 2, width // 2)]


def join(planes: list[Plane]) -> Plane:
    """Join planes to a frame in yuv420p."""
    height, width = planes[0].shape
    return np.concatenate([planes[0], np.stack(planes[1:]).reshape(height // 2, width)])
