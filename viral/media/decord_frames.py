"""Decoding of selected frames by decord, for files that it decodes correctly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.media.index import TIME_TOLERANCE, FrameIndex
from viral.media.probe import Probe

NAME = "decord"

# Fraction of frames that decord may replace by their neighbours before it refuses the file: practically none.
FAULT_TOLERANCE = 1e-6


class DecordRefusedError(Exception):
    """Decord cannot read the file, or contradicts its index: use another decoder."""


def decord_frames(path: str, frames: Iterable[int], probe: Probe) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Yield (number, uint8 (H, W, 3) RGB) for the selected frames, upright and in order.

    One frame at a time: larger batches of `get_batch` are no faster, and hold the frames at full size.

    Raises:
        DecordRefusedError: use another decoder; frames that came before are right.
    """
    import decord

    if not is_trusted(probe):
        raise DecordRefusedError("a file of a kind that decord gets wrong")
    index, geometry = probe.index, probe.geometry
    try:
        reader = decord.VideoReader(path, num_threads=1, fault_tol=FAULT_TOLERANCE)
        _check_times(reader, index)
        for number in frames:
            image = reader.get_batch([number]).asnumpy()[0]
            if image.shape != (geometry.height, geometry.width, 3):
                raise DecordRefusedError(f"a frame of {image.shape}, not {geometry.width} x {geometry.height}")
            yield number, image
    except (decord.DECORDError, decord.DECORDLimitReachedError, RuntimeError, AssertionError) as error:
        raise DecordRefusedError(str(error).splitlines()[0]) from None


def is_trusted(probe: Probe) -> bool:
    """Whether decord decodes such a file right, as compared frame by frame with a decode of the whole file.

    It counts the packets after a key frame, so open groups of pictures, MPEG-TS and some Matroska files silently give
    other frames than requested. High bit depths and interlaced video come out in wrong colours.
    """
    index = probe.index
    return probe.container.startswith("mov,mp4") and index.exact and index.closed_gops and probe.geometry.plain


def _check_times(reader: Any, index: FrameIndex) -> None:
    if len(reader) != len(index):
        raise DecordRefusedError(f"{len(reader)} frames, not {len(index)}")
    times = reader.get_frame_timestamp(np.arange(len(index)))[:, 0]
    # decord counts from the first frame, the index from the first frame or sample.
    drift = np.abs((times - times[0]) - (index.pts_seconds - index.pts_seconds[0]))
    if not bool((drift <= TIME_TOLERANCE).all()):
        raise DecordRefusedError("other times than the file's")
