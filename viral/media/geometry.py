"""Geometry of a video's frames as a player shows them: turned, mirrored, with square pixels."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy.typing as npt

if TYPE_CHECKING:
    from fractions import Fraction

    from av.video.frame import VideoFrame

RIGHT_ANGLE = 90
# Like ffmpeg, take a matrix for a right angle if its angle rounds to one; frames at other angles stay as they are.
ANGLE_TOLERANCE = 0.5  # degrees
# Pixels less than this far from square are taken for square: encoders round, and nobody sees it.
SQUARE_TOLERANCE = 0.01
# Beyond this the ratio is an error in the file: anamorphic formats stay below 3.
MAX_PIXEL_ASPECT = 16.0


@dataclass(frozen=True)
class Orientation:
    """How to make coded frames upright: transpose rows and columns first, then mirror.

    Attributes:
        rotation: the degrees counterclockwise, of 0, 90, 180 and 270, that the file asks for, before any mirroring.
        exact: the file asks for exactly this; its angle may also be a hair off.
    """

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False
    rotation: int = 0
    exact: bool = True

    @classmethod
    def from_matrix(cls, matrix: tuple[float, float, float, float]) -> Orientation:
        """Read (a, b, c, d) of a display matrix, which shows the pixel (x, y) at (ax + cy, bx + dy)."""
        a, b, c, d = matrix
        width, height = math.hypot(a, c), math.hypot(b, d)
        # A matrix of zeros is an error: the frame stays as it is.
        if not width or not height:
            return cls()
        angle = -math.degrees(math.atan2(b / height, a / width))  # counterclockwise
        rotation = round(angle / RIGHT_ANGLE) * RIGHT_ANGLE
        if abs(angle - rotation) > ANGLE_TOLERANCE:
            return cls()
        # Rows become columns if the place from left to right depends on y rather than on x.
        transposed = abs(c) > abs(a)
        mirrored_x, mirrored_y = (c < 0, b < 0) if transposed else (a < 0, d < 0)
        return cls(transposed, mirrored_x, mirrored_y, rotation % 360, exact=(a, d) == (0, 0) or (b, c) == (0, 0))

    @property
    def mirrored(self) -> bool:
        """Whether the frame is mirrored besides being turned."""
        return self.transposed ^ self.mirrored_x ^ self.mirrored_y

    def apply(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Make an image (H, W, ...) upright, without a copy."""
        upright = image.swapaxes(0, 1) if self.transposed else image
        upright = upright[:, ::-1] if self.mirrored_x else upright
        return upright[::-1] if self.mirrored_y else upright


@dataclass(frozen=True)
class FrameGeometry:
    """Size of the upright frames with square pixels, and how to make coded frames so."""

    width: int
    height: int
    orientation: Orientation
    square_pixels: bool
    progressive_8bit: bool
    """Progressive, and 8 bits per component."""

    @classmethod
    def of(cls, frame: VideoFrame, pixel_aspect: Fraction | None) -> FrameGeometry:
        """Geometry of a video, from its first frame and the width of a pixel relative to its height."""
        aspect = float(pixel_aspect or 1)
        aspect = aspect if 1 / MAX_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT else 1.0
        square = abs(aspect - 1) < SQUARE_TOLERANCE
        # Only the width is corrected, as players do.
        shown = frame.width if square else max(1, round(frame.width * aspect))
        orientation = _orientation(frame)
        size = (frame.height, shown) if orientation.transposed else (shown, frame.height)
        plain = not frame.interlaced_frame and max(component.bits for component in frame.format.components) <= 8
        return cls(*size, orientation, square, plain)


def _orientation(frame: VideoFrame) -> Orientation:
    from av.sidedata.sidedata import SideData, Type

    all_data = cast("Iterable[SideData]", frame.side_data)
    matrices = [bytes(data) for data in all_data if data.type == Type.DISPLAYMATRIX]
    if not matrices:
        return Orientation()
    a, b, _, c, d, *_ = struct.unpack("=9i", matrices[0][:36])
    return Orientation.from_matrix((a, b, c, d))


def as_coded(size: tuple[int, int], orientation: Orientation) -> tuple[int, int]:
    """Return the size (h, w) that a frame has before it is turned upright; `size` is its upright one."""
    return size[::-1] if orientation.transposed else size
