"""Resizing of RGB frames by Pillow's antialiased bilinear filter: the same bits on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from viral.media.requests import Fit

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]

# With `inside`, the long side is cut off at this multiple of the short one: a 1 x 8000 frame must not explode.
MAX_ASPECT_RATIO = 4


def resize(image: Image, size: Size, fit: Fit) -> Image:
    """Resize a frame (H, W, 3) to (h, w), see `requests.Fit`."""
    from PIL import Image as Pillow

    canvas = canvas_size(image.shape[:2], size, fit)
    rows, columns = crop(canvas, size, fit)
    if canvas == image.shape[:2]:
        return np.ascontiguousarray(image[rows, columns])
    # Only the visible part of the canvas is computed.
    down, across = image.shape[0] / canvas[0], image.shape[1] / canvas[1]
    box = (columns.start * across, rows.start * down, columns.stop * across, rows.stop * down)
    target = (columns.stop - columns.start, rows.stop - rows.start)
    source = Pillow.fromarray(np.ascontiguousarray(image))
    return np.asarray(source.resize(target, Pillow.Resampling.BILINEAR, box=_within(box, source.size)))


def canvas_size(shown: Size, size: Size, fit: Fit) -> Size:
    """Size (h, w) that a whole frame is scaled to; `crop` then cuts `size` out of its centre."""
    if fit == "inside":
        return inside(*shown, min(size))
    if fit == "stretch":
        return size
    scale = max(size[0] / shown[0], size[1] / shown[1])
    return max(size[0], round(shown[0] * scale)), max(size[1], round(shown[1] * scale))


def crop(canvas: Size, size: Size, fit: Fit) -> tuple[slice, slice]:
    """Rows and columns of a canvas to keep."""
    height, width = size if fit == "crop" else canvas
    top, left = (canvas[0] - height) // 2, (canvas[1] - width) // 2
    return slice(top, top + height), slice(left, left + width)


def inside(height: int, width: int, short_side: int) -> Size:
    """Size (h, w) of the same aspect ratio with this short side."""
    longest = MAX_ASPECT_RATIO * short_side
    if height <= width:
        return short_side, min(longest, round(width * short_side / height))
    return min(longest, round(height * short_side / width)), short_side


def _within(box: tuple[float, float, float, float], size: Size) -> tuple[float, float, float, float]:
    # Pillow refuses a box that a rounding error puts outside the frame.
    left, upper, right, lower = box
    return left, upper, min(right, size[0]), min(lower, size[1])
