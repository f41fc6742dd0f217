"""Resizing of decoded frames with ffmpeg's swscale: antialiased bilinear, from any pixel format to RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from viral.media.geometry import as_coded
from viral.media.requests import Fit
from viral.media.resize import Image, Size, canvas_size, crop, resize

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

    from viral.media.colour import Colour
    from viral.media.geometry import FrameGeometry


class Scaler:
    """Converts decoded frames of one video to upright RGB with square pixels, and HDR to SDR.

    `resize` makes no RGB frame at full size, which is faster. On real videos the result differs from that of resizing a
    full frame by 1 of 255 on average, because swscale makes full frames that much too dark.
    """

    def __init__(self, geometry: FrameGeometry, colour: Colour) -> None:
        self._orientation, self._colour = geometry.orientation, colour
        self._size = (geometry.height, geometry.width)
        self._reformatters: dict[Size, VideoReformatter] = {}

    def to_rgb(self, frame: VideoFrame) -> Image:
        """Convert a frame to uint8 (H, W, 3) at full size."""
        return self._reformat(frame, self._size, exact=False)

    def resize(self, frame: VideoFrame, size: Size, fit: Fit) -> Image:
        """Resize a frame to `size` (h, w), see `requests.Fit`."""
        canvas = canvas_size(self._size, size, fit)
        if canvas[0] > self._size[0] or canvas[1] > self._size[1]:
            # Pillow enlarges only the visible part: the whole canvas of a thin frame may be huge.
            return resize(self.to_rgb(frame), size, fit)
        return self._reformat(frame, canvas, exact=True)[crop(canvas, size, fit)]

    def _reformat(self, frame: VideoFrame, size: Size, *, exact: bool) -> Image:
        """Scale a frame, convert it to RGB and turn it upright; `size` is the upright size."""
        from av.video.reformatter import Interpolation as Flag
        from av.video.reformatter import VideoReformatter

        height, width = as_coded(size, self._orientation)
        hdr = self._colour.tone_mapped
        # By default swscale halves the chroma resolution of the small frame, and rounds differently from CPU to CPU.
        precise = Flag.FULL_CHR_H_INT | Flag.ACCURATE_RND | Flag.BITEXACT
        flags = Flag.BILINEAR | precise if exact or hdr else Flag.BILINEAR
        # A reformatter caches the filter of its last call, so there is one per size.
        reformatter = self._reformatters.setdefault((height, width), VideoReformatter())
        form = "rgb48le" if hdr else "rgb24"  # one of 256 steps of HDR is several of SDR
        image = reformatter.reformat(frame, width, height, form, interpolation=flags, threads=1).to_ndarray()
        sdr = self._colour.to_sdr(image) if hdr else image.astype(np.uint8, copy=False)
        return self._orientation.apply(sdr)
