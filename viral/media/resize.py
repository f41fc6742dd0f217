"""Resizing of RGB frames: Pillow's antialiased bilinear filter, the same bits on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from viral.media.requests import Fit

Image = npt.NDArray[np.uint8]

LONGEST = 4
"""With `inside`, the long side is cut off at this many times the short one: a 1 x 8000 picture must not explode."""


def resize(image: Image, size: tuple[int, int], fit: Fit) -> Image:
    """A frame (H, W, 3) in the asked size (h, w), see `requests.Fit`."""
    from PIL import Image as Pillow

    height, width = image.shape[:2]
    target = inside(height, width, min(size)) if fit == "inside" else size
    top, left, rows, columns = _centre(height, width, target) if fit == "crop" else (0, 0, height, width)
    region = np.ascontiguousarray(image[top : top + rows, left : left + columns])
    if region.shape[:2] == target:
        return region
    # A reducing gap of 1 averages whole blocks first: half the time of the plain filter, and as free of aliasing.
    scaled = Pillow.fromarray(region).resize(target[::-1], Pillow.Resampling.BILINEAR, reducing_gap=1.0)
    return np.asarray(scaled)


def inside(height: int, width: int, short: int) -> tuple[int, int]:
    """The size (h, w) of the same aspect ratio whose short side is `short`."""
    longest = LONGEST * short
    if height <= width:
        return short, min(longest, round(width * short / height))
    return min(longest, round(height * short / width)), short


def _centre(height: int, width: int, target: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest centred region of the target's aspect ratio: top, left, rows, columns."""
    scale = min(height / target[0], width / target[1])
    rows = min(height, max(1, round(target[0] * scale)))
    columns = min(width, max(1, round(target[1] * scale)))
    return (height - rows) // 2, (width - columns) // 2, rows, columns
