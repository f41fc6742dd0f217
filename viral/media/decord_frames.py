"""Wanted frames by decord, where decord can be trusted with the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.media.index import EARLY, PictureIndex
from viral.media.probe import Survey

NAME = "decord"

STRICT = 1e-6
"""The share of frames that decord may replace by their neighbours before it must refuse the file: none."""


class DecordRefusedError(Exception):
    """Decord cannot read the file, or contradicts its index: another decoder has to."""


def decord_frames(path: str, wanted: Iterable[int], survey: Survey) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """The wanted frames, upright, as (number, uint8 (H, W, 3) RGB), in order.

    One frame at a time: `get_batch` goes on from where it is, so larger batches are no faster, and they hold the frames
    at full size.

    Raises:
        DecordRefusedError: the file is for another decoder; frames that came before are right.
    """
    import decord

    if not trusted(survey):
        raise DecordRefusedError("a file of a kind that decord gets wrong")
    index, look = survey.index, survey.look
    try:
        reader = decord.VideoReader(path, num_threads=1, fault_tol=STRICT)
        _check_times(reader, index)
        for number in wanted:
            image = reader.get_batch([number]).asnumpy()[0]
            if image.shape != (look.height, look.width, 3):
                raise DecordRefusedError(f"a frame of {image.shape}, not {look.width} x {look.height}")
            yield number, image
    except (decord.DECORDError, decord.DECORDLimitReachedError, RuntimeError, AssertionError) as error:
        raise DecordRefusedError(str(error).splitlines()[0]) from None


def trusted(survey: Survey) -> bool:
    """Whether decord decodes such a file right, as compared frame by frame with a decode of the whole file.

    It counts packets behind a key frame, so that open groups of pictures, MPEG-TS and some Matroska files give it other
    frames than were asked for, silently. Deep and interlaced pictures it converts to other colours.
    """
    return survey.container.startswith("mov,mp4") and survey.index.exact and survey.index.closed and survey.look.plain


def _check_times(reader: Any, index: PictureIndex) -> None:
    if len(reader) != len(index):
        raise DecordRefusedError(f"{len(reader)} frames, not {len(index)}")
    times = reader.get_frame_timestamp(np.arange(len(index)))[:, 0]
    # decord counts from the first frame, the index from the first sound or frame.
    drift = np.abs((times - times[0]) - (index.pts_seconds - index.pts_seconds[0]))
    if not bool((drift <= EARLY).all()):
        raise DecordRefusedError("other times than the file's")
