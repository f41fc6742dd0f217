"""Decoding of selected frames with decord, for files that it decodes correctly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.media.index import TIME_TOLERANCE, FrameIndex
from viral.media.probe import Probe

NAME = "decord"

# decord replaces frames that it cannot decode by neighbours, up to this fraction of a file: practically none.
FAULT_TOLERANCE = 1e-6


class DecordRefusedError(Exception):
    """Decord cannot read the file, or disagrees with its index. Use another decoder."""


def decord_frames(path: str, frames: Iterable[int], probe: Probe) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Yield (number, uint8 (H, W, 3) RGB) for the selected frames, upright and in order.

    Frames are decoded one at a time: larger batches are no faster, and hold all their frames at full size.

    Raises:
        DecordRefusedError: use another decoder; the frames yielded before are correct.
    """
    import decord

    if not is_trusted(probe):
        raise DecordRefusedError("decord decodes files of this kind incorrectly")
    index, geometry = probe.index, probe.geometry
    try:
        reader = decord.VideoReader(path, num_threads=1, fault_tol=FAULT_TOLERANCE)
        _check_times(reader, index)
        for number in frames:
            image = reader.get_batch([number]).asnumpy()[0]
            if image.shape != (geometry.height, geometry.width, 3):
                raise DecordRefusedError(f"a frame has shape {image.shape}, not {geometry.height} x {geometry.width}")
            yield number, image
    except (decord.DECORDError, decord.DECORDLimitReachedError, RuntimeError, AssertionError) as error:
        raise DecordRefusedError(str(error).splitlines()[0]) from None


def is_trusted(probe: Probe) -> bool:
    """Whether decord decodes this kind of file correctly: tests compare it with a decode of whole files.

    Decord counts packets after a key frame, so with open groups of pictures, MPEG-TS and some Matroska files it
    silently returns wrong frames. With high bit depths, interlaced video and HDR it returns wrong colours. It turns
    frames, but neither mirrors them nor makes their pixels square.
    """
    index, geometry = probe.index, probe.geometry
    upright = geometry.orientation.exact and not geometry.orientation.mirrored
    as_shown = upright and geometry.square_pixels and geometry.progressive_8bit and not probe.colour.hdr
    return probe.container.startswith("mov,mp4") and index.exact and index.closed_gops and as_shown


def _check_times(reader: Any, index: FrameIndex) -> None:
    if len(reader) != len(index):
        raise DecordRefusedError(f"{len(reader)} frames, not {len(index)}")
    times = reader.get_frame_timestamp(np.arange(len(index)))[:, 0]
    # Times of decord count from the first frame, those of the index from the first frame or audio sample.
    drift = np.abs((times - times[0]) - (index.pts_seconds - index.pts_seconds[0]))
    if not bool((drift <= TIME_TOLERANCE).all()):
        raise DecordRefusedError("the frame times differ from those of the file")
