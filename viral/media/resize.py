"""Resizing of RGB frames with Pillow's antialiased bilinear filter, bit-identical on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from viral.media.requests import Fit

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]

# `inside` limits the long side to this multiple of the short one: a 1 x 8000 frame would become huge otherwise.
MAX_ASPECT_RATIO = 4


def resize(image: Image, size: Size, fit: Fit) -> Image:
    """Resize a frame (H, W, 3) to `size` (h, w), see `requests.Fit`."""
    from PIL import Image as Pillow

    canvas = canvas_size(image.shape[:2], size, fit)
    rows, columns = crop(canvas, size, fit)
    if canvas == image.shape[:2]:
        return np.ascontiguousarray(image[rows, columns])
    # Compute only the visible part of the canvas. Pillow rejects a box that rounding puts outside the frame.
    height, width = image.shape[:2]
    down, across = height / canvas[0], width / canvas[1]
    right, lower = min(columns.stop * across, width), min(rows.stop * down, height)
    box = (columns.start * across, rows.start * down, right, lower)
    target = (columns.stop - columns.start, rows.stop - rows.start)
    source = Pillow.fromarray(np.ascontiguousarray(image))
    return np.asarray(source.resize(target, Pillow.Resampling.BILINEAR, box=box))


def canvas_size(frame: Size, size: Size, fit: Fit) -> Size:
    """Return the size (h, w) to scale a whole frame to; `crop` then cuts `size` out of its centre."""
    if fit == "inside":
        return inside(*frame, min(size))
    if fit == "stretch":
        return size
    # The larger scale covers both sides; rounding must not fall short of the target.
    scale = max(size[0] / frame[0], size[1] / frame[1])
    return max(size[0], round(frame[0] * scale)), max(size[1], round(frame[1] * scale))


def crop(canvas: Size, size: Size, fit: Fit) -> tuple[slice, slice]:
    """Return the rows and columns of a canvas to keep."""
    height, width = size if fit == "crop" else canvas
    top, left = (canvas[0] - height) // 2, (canvas[1] - width) // 2
    return slice(top, top + height), slice(left, left + width)


def inside(height: int, width: int, short_side: int) -> Size:
    """Return the size (h, w) with this short side and the same aspect ratio, up to `MAX_ASPECT_RATIO`."""
    longest = MAX_ASPECT_RATIO * short_side
    if height <= width:
        return short_side, min(longest, round(width * short_side / height))
    return min(longest, round(height * short_side / width)), short_side
