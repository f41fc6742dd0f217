"""Perceptual hash of a video: what its opening and some later frames look like, in a few hundred bytes.

Each frame becomes 63 bits, the signs of the lowest frequencies of its brightness (a discrete cosine transform, as in
the pHash of the library ImageHash). Here a sign is that of the coefficient itself, not of its difference from the
median: mirroring a picture then flips known bits, so that mirrored copies need no second hash. That, and all frames of
a video in one matrix product, is why the dozen lines are written out.

The frames are those that the editing features decode anyway, and three more.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from viral.media.media import Media
from viral.media.requests import Clips, Frames, Request, hook

_Luma = npt.NDArray[np.float32]
_Codes = npt.NDArray[np.uint64]
_Bars = tuple[int, int, int, int]
"""Rows at the top and bottom, columns at the left and right."""

OPENING_SECONDS = 3.0
OPENING = hook(seconds=OPENING_SECONDS, every=0.2, size=(112, 112))
KEY_FRAMES = Frames(count=8, size=(112, 112), choice="key", fit="inside")
LATE = Frames(size=(112, 112), every=0.3, start=3.4, stop=4.1, fit="inside")
"""The frames of a hash. `Craft` requests the opening and the key frames, too. Those at 3.4, 3.7 and 4 s tell videos
apart that have the same intro: encoders put key frames where they like, and those of two videos may share no time."""

_EVERY = 2  # of the opening's frames: every 0.4 s
OPENING_FRAMES, LATER_FRAMES = 8, 8
VIDEO_HASH = np.dtype(
    [("opening", "<u8", (2, OPENING_FRAMES)), ("later_ms", "<u4", LATER_FRAMES), ("later", "<u8", (2, LATER_FRAMES))]
)
"""Layout of a hash: codes of the opening at 0, 0.4 … 2.8 s, then times and codes of later frames. Codes come
twice, of the frame as it is and of the frame without its bars; a code of 0 means no such frame, or one without
contrast."""

_FREQUENCIES = 8  # in each direction: 63 bits besides the mean
# The borders that a code leaves out, as fractions of the height and the width: a caption over the top or the bottom
# hides one. Captioned copies of six real TikToks then differ in up to 0.02 of the bits, with the borders 0.14.
_MARGINS = (0.15, 0.05)
_MIN_CONTRAST = 5.0  # of 255, standard deviation: below it the bits are those of the coding noise
_BAR_TOLERANCE = 16.0  # of 255: coding noise on a bar of one colour
_BAR_EDGE, _BAR_TEXT = 0.9, 0.4  # fractions of a bar's pixels that have its colour: at the edge, within its text
_MAX_BAR = 0.3  # of the length, on one side: more is no bar but a plain background
_NO_BARS = (0, 0, 0, 0)

MIRRORED = np.uint64(sum(1 << bit for bit in range(64) if bit % _FREQUENCIES % 2))
"""The bits that mirroring flips, those of odd horizontal frequencies: `code ^ MIRRORED` is the mirrored frame's."""


def with_hashed_frames(requests: Iterable[Request]) -> tuple[Request, ...]:
    """Add the frames of the hash to the requests of a backfill, if it `hashes_videos`."""
    requests = tuple(requests)
    return (*requests, OPENING, LATE, KEY_FRAMES) if hashes_videos(requests) else requests


def hashes_videos(requests: Iterable[Request]) -> bool:
    """Whether a backfill with these requests hashes the videos: if it decodes other frames than key frames.

    Key frames alone cost a fraction of that, and may come from another decoder, as they do when a draft is scored.
    """
    return any(isinstance(r, Clips) or (isinstance(r, Frames) and r.choice != "key") for r in requests)


def perceptual_hash(media: Media) -> bytes | None:
    """Hash a video as `VIDEO_HASH`; None if `OPENING` was not decoded."""
    opening = media.frames(OPENING)
    if opening is None or not len(opening.data):
        return None
    frames, (times, later) = _luma(opening.data[::_EVERY][:OPENING_FRAMES]), _later(media)
    value = np.zeros((), VIDEO_HASH)
    value["later_ms"][: len(times)] = np.round(1000 * times)
    for view, bars in enumerate(_views(frames)):
        value["opening"][view, : len(frames)] = _frame_codes(frames, bars)
        value["later"][view, : len(later)] = _frame_codes(later, bars)
    return value.tobytes()


def _later(media: Media) -> tuple[npt.NDArray[np.float64], _Luma]:
    """Times and brightness of the frames after the opening: those of `LATE` at the times requested, and key frames."""
    late, keys = media.frames(LATE), media.frames(KEY_FRAMES)
    assert LATE.every is not None
    times = [LATE.start + LATE.every * np.arange(len(late.data) if late else 0)]
    frames = [late.data] if late else []
    if keys is not None:
        after = keys.pts_seconds > OPENING_SECONDS
        times, frames = [*times, keys.pts_seconds[after]], [*frames, keys.data[after]]
    images = np.concatenate(frames) if frames else np.zeros((0, 1, 1, 3), np.uint8)
    return np.concatenate(times)[:LATER_FRAMES], _luma(images[:LATER_FRAMES])


def _luma(images: npt.NDArray[np.uint8]) -> _Luma:
    """Brightness of images (T, H, W, 3), of ITU-R BT.601."""
    return images.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def _views(frames: _Luma) -> list[_Bars]:
    """Bars to cut for each view of frames (T, H, W): none, and those found."""
    bars = (*_bars(frames), *_bars(frames.transpose(0, 2, 1)))
    return [_NO_BARS, bars] if any(bars) else [_NO_BARS]


def _bars(frames: _Luma) -> tuple[int, int]:
    """Rows of a bar of one colour, which may hold text, at the top and at the bottom of frames (T, H, W)."""
    return _bar(frames), _bar(frames[:, ::-1])


def _bar(frames: _Luma) -> int:
    rows = frames[:, : int(frames.shape[1] * _MAX_BAR) + 1]
    # Of each row the fraction of pixels, over all frames, with the colour of the outermost row.
    plain = (np.abs(rows - np.median(rows[:, 0])) <= _BAR_TOLERANCE).mean(axis=(0, 2))
    ends = np.flatnonzero(plain < (_BAR_EDGE if plain[0] < _BAR_EDGE else _BAR_TEXT))
    return int(ends[0]) if len(ends) else 0


def _frame_codes(frames: _Luma, bars: _Bars) -> _Codes:
    """Code of each frame (T,) without its bars and margins; 0 without contrast."""
    top, bottom, left, right = bars
    region = frames[:, top : frames.shape[1] - bottom, left : frames.shape[2] - right]
    rows, columns = (round(length * margin) for length, margin in zip(region.shape[1:], _MARGINS, strict=True))
    region = region[:, rows : region.shape[1] - rows, columns : region.shape[2] - columns]
    # A separable transform: rows and columns by one matrix each, for all frames at once.
    coefficients = _cosines(region.shape[1]) @ region @ _cosines(region.shape[2]).T
    bits = coefficients.reshape(len(frames), _FREQUENCIES**2) > 0
    bits[:, 0] = True  # of the mean, which says nothing; so no code is 0
    codes = np.packbits(bits, axis=1, bitorder="little").view("<u8")[:, 0]
    return np.where(region.std(axis=(1, 2)) < _MIN_CONTRAST, np.uint64(0), codes)


def _cosines(length: int) -> npt.NDArray[np.float32]:
    """Lowest basis functions of the discrete cosine transform, (frequencies, length)."""
    angles = np.pi * np.outer(np.arange(_FREQUENCIES), np.arange(length) + 0.5) / length
    return np.cos(angles).astype(np.float32)
