"""A drawn logo, shown for a part of a real or synthetic video at a random size, place and blur."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Frames = npt.NDArray[np.uint8]
SIZES = (0.15, 0.4)  # of the width of the frame


def draw(kind: str, size: int = 256) -> Image.Image:
    """A flag, a round logo or a badge, with transparency around it."""
    image = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    if kind == "flag":
        height, top = size * 2 // 3, size // 6
        for row, colour in enumerate([(20, 60, 160), (245, 245, 245), (210, 30, 50)]):
            pen.rectangle([0, top + row * height // 3, size, top + (row + 1) * height // 3], fill=colour)
        pen.polygon([(0, top), (size * 0.45, top + height / 2), (0, top + height)], fill=(250, 200, 20))
    elif kind == "logo":
        pen.ellipse([4, 4, size - 4, size - 4], fill=(230, 40, 40))
        pen.ellipse([size * 0.12, size * 0.12, size * 0.88, size * 0.88], fill=(255, 255, 255))
        pen.polygon([(size * x, size * y) for x, y in ((0.5, 0.18), (0.8, 0.75), (0.2, 0.75))], fill=(20, 20, 20))
    else:
        pen.rounded_rectangle([4, 4, size - 4, size - 4], size * 0.2, fill=(30, 160, 90))
        pen.rectangle([size * 0.2, size * 0.42, size * 0.8, size * 0.58], fill=(255, 255, 255))
        pen.rectangle([size * 0.42, size * 0.2, size * 0.58, size * 0.8], fill=(255, 255, 255))
    return image


def planted(frames: Frames, kind: str, rng: np.random.Generator) -> Frames:
    """A copy of frames (T, H, W, 3) that all show the target, drifting a little."""
    count, height, width, _ = frames.shape
    size = int(width * rng.uniform(*SIZES))
    image = draw(kind).rotate(rng.uniform(-12, 12), resample=Image.Resampling.BICUBIC).resize((size, size))
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.5) * width / 288))
    pixels = np.asarray(image, np.float32)
    alpha = pixels[..., 3:] / 255 * rng.uniform(0.85, 1)
    colours = np.clip(pixels[..., :3] * rng.uniform(0.75, 1.15), 0, 255)
    x, y, drift = rng.uniform(0, width - size), rng.uniform(0, max(1, height - size)), rng.uniform(-3, 3, 2)
    shown = frames.copy()
    for i in range(count):
        left = int(np.clip(x + drift[0] * i, 0, width - size))
        top = int(np.clip(y + drift[1] * i, 0, max(0, height - size)))
        part = shown[i, top : top + size, left : left + size]
        part[:] = part * (1 - alpha[: len(part)]) + colours[: len(part)] * alpha[: len(part)]
    return shown


def plant(source: Path, target: Path, kind: str, start: float, seconds: float, seed: int) -> Path:
    """Encode a copy of a video that shows the target from `start` on."""
    with av.open(str(source)) as file:
        stream = file.streams.video[0]
        rate = round(float(stream.average_rate or 25))
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(stream)])
    first, last = round(start * rate), round((start + seconds) * rate)
    frames[first:last] = planted(frames[first:last], kind, np.random.default_rng(seed))
    with av.open(str(target), "w") as file:
        stream = file.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "23"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode(None))
    return target
