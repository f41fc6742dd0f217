"""Resizing of frames by ffmpeg's swscale: an antialiased bilinear filter, from any pixel format to small RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from viral.media.requests import Fit
from viral.media.resize import Image, Size, canvas, resize, window

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

    from viral.media.probe import Look


class Scaler:
    """Makes upright RGB frames of one video.

    `direct` never makes the frame RGB at its full size, which takes a third of the time. On real videos it differs from
    resizing a whole frame by 1 of 255 in the mean: swscale makes whole frames that much too dark, here and in decord.
    """

    def __init__(self, look: Look) -> None:
        self._look = look
        self._shown = (look.height, look.width)
        self._reformatters: dict[Size, VideoReformatter] = {}

    def whole(self, frame: VideoFrame) -> Image:
        """The frame at the size of the video, uint8 (H, W, 3)."""
        from av.video.reformatter import Interpolation

        return self._upright(self._rgb(frame, self._stored(self._shown), Interpolation.BILINEAR))

    def direct(self, frame: VideoFrame, size: Size, fit: Fit) -> Image:
        """The frame in the asked size (h, w), see `requests.Fit`."""
        target = canvas(self._shown, size, fit)
        if target[0] > self._shown[0] or target[1] > self._shown[1]:
            # Left to Pillow, which makes no canvas: that of a thin picture may be huge.
            return resize(self.whole(frame), size, fit)
        small = self._upright(self._rgb(frame, self._stored(target), _exactly()))
        return small[window(target, size, fit)]

    def _rgb(self, frame: VideoFrame, size: Size, way: int) -> Image:
        from av.video.reformatter import VideoReformatter

        # Each keeps the filter that it set up for the frame before.
        reformatter = self._reformatters.setdefault(size, VideoReformatter())
        scaled = reformatter.reformat(frame, size[1], size[0], "rgb24", interpolation=way, threads=1)
        return scaled.to_ndarray().astype(np.uint8, copy=False)

    def _stored(self, shown: Size) -> Size:
        return shown[::-1] if self._look.turns % 2 else shown

    def _upright(self, image: Image) -> Image:
        return np.rot90(image, self._look.turns)


def _exactly() -> int:
    from av.video.reformatter import Interpolation as Way

    # By default swscale halves the resolution of the colours of the small picture, and rounds as the CPU likes.
    return Way.BILINEAR | Way.FULL_CHR_H_INT | Way.ACCURATE_RND | Way.BITEXACT
