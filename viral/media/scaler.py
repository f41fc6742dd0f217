"""Resizing of decoded frames by ffmpeg's swscale: antialiased bilinear, from any pixel format to small RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from viral.media.requests import Fit
from viral.media.resize import Image, Size, canvas_size, crop, resize

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

    from viral.media.probe import FrameGeometry


class Scaler:
    """Makes upright RGB frames of one video.

    `resize` skips the RGB frame at full size, which takes a third of the time. On real videos it differs from resizing
    a full frame by 1 of 255 on average: swscale makes full frames that much too dark, here and in decord.
    """

    def __init__(self, geometry: FrameGeometry) -> None:
        self._turns = geometry.turns
        self._shown = (geometry.height, geometry.width)
        self._reformatters: dict[Size, VideoReformatter] = {}

    def to_rgb(self, frame: VideoFrame) -> Image:
        """Convert a frame at full size to uint8 (H, W, 3)."""
        from av.video.reformatter import Interpolation

        return self._upright(self._reformat(frame, self._stored(self._shown), Interpolation.BILINEAR))

    def resize(self, frame: VideoFrame, size: Size, fit: Fit) -> Image:
        """Resize a frame to (h, w), see `requests.Fit`."""
        target = canvas_size(self._shown, size, fit)
        if target[0] > self._shown[0] or target[1] > self._shown[1]:
            # Left to Pillow, which makes no canvas: that of a thin frame may be huge.
            return resize(self.to_rgb(frame), size, fit)
        small = self._upright(self._reformat(frame, self._stored(target), _exact_bilinear()))
        return small[crop(target, size, fit)]

    def _reformat(self, frame: VideoFrame, size: Size, interpolation: int) -> Image:
        from av.video.reformatter import VideoReformatter

        # A reformatter caches the filter of its last call, so there is one per size.
        reformatter = self._reformatters.setdefault(size, VideoReformatter())
        scaled = reformatter.reformat(frame, size[1], size[0], "rgb24", interpolation=interpolation, threads=1)
        return scaled.to_ndarray().astype(np.uint8, copy=False)

    def _stored(self, shown: Size) -> Size:
        return shown[::-1] if self._turns % 2 else shown

    def _upright(self, image: Image) -> Image:
        return np.rot90(image, self._turns)


def _exact_bilinear() -> int:
    from av.video.reformatter import Interpolation as Flag

    # By default swscale halves the chroma resolution of the small frame, and rounds differently from CPU to CPU.
    return Flag.BILINEAR | Flag.FULL_CHR_H_INT | Flag.ACCURATE_RND | Flag.BITEXACT
