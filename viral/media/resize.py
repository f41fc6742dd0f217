"""Resizing of RGB frames: Pillow's antialiased bilinear filter, the same bits on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from viral.media.requests import Fit

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]

LONGEST = 4
"""With `inside`, the long side is cut off at this many times the short one: a 1 x 8000 picture must not explode."""


def resize(image: Image, size: Size, fit: Fit) -> Image:
    """A frame (H, W, 3) in the asked size (h, w), see `requests.Fit`."""
    from PIL import Image as Pillow

    whole = canvas(image.shape[:2], size, fit)
    rows, columns = window(whole, size, fit)
    if whole == image.shape[:2]:
        return np.ascontiguousarray(image[rows, columns])
    # The canvas is never made whole: only what the window shows of it.
    down, across = image.shape[0] / whole[0], image.shape[1] / whole[1]
    box = (columns.start * across, rows.start * down, columns.stop * across, rows.stop * down)
    target = (columns.stop - columns.start, rows.stop - rows.start)
    source = Pillow.fromarray(np.ascontiguousarray(image))
    return np.asarray(source.resize(target, Pillow.Resampling.BILINEAR, box=_within(box, source.size)))


def canvas(shown: Size, size: Size, fit: Fit) -> Size:
    """The size (h, w) that a whole frame is scaled to; `crop` then cuts `size` out of its centre."""
    if fit == "inside":
        return inside(*shown, min(size))
    if fit == "stretch":
        return size
    scale = max(size[0] / shown[0], size[1] / shown[1])
    return max(size[0], round(shown[0] * scale)), max(size[1], round(shown[1] * scale))


def window(whole: Size, size: Size, fit: Fit) -> tuple[slice, slice]:
    """The rows and columns of a canvas that are the answer."""
    height, width = size if fit == "crop" else whole
    top, left = (whole[0] - height) // 2, (whole[1] - width) // 2
    return slice(top, top + height), slice(left, left + width)


def inside(height: int, width: int, short: int) -> Size:
    """The size (h, w) of the same aspect ratio whose short side is `short`."""
    longest = LONGEST * short
    if height <= width:
        return short, min(longest, round(width * short / height))
    return min(longest, round(height * short / width)), short


def _within(box: tuple[float, float, float, float], size: Size) -> tuple[float, float, float, float]:
    # Pillow refuses a box that a rounding error puts outside the picture.
    left, upper, right, lower = box
    return left, upper, min(right, size[0]), min(lower, size[1])
