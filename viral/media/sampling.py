"""Selection of the frames that answer a request."""

from __future__ import annotations

import numpy as np

from viral.media.index import TIME_TOLERANCE, Floats, FrameIndex, Ints
from viral.media.requests import Clips, Frames


def sample_frames(request: Frames | Clips, index: FrameIndex) -> Ints:
    """Return the frame numbers that answer a request: (T,) for frames, (C, T) for clips.

    They depend on the request and the file only, not on other requests of the plan. Empty if the requested span starts
    at or after the end of the video.
    """
    return _sample_clips(request, index) if isinstance(request, Clips) else _sample_frames(request, index)


def _sample_frames(request: Frames, index: FrameIndex) -> Ints:
    stop = index.end if request.stop is None else min(request.stop, index.end)
    if stop <= request.start:
        return np.zeros(0, np.int64)
    if request.every is not None:
        # The tolerance keeps rounding from adding a time at the very end.
        times = np.arange(request.start, stop - TIME_TOLERANCE, request.every)
    else:
        assert request.count is not None
        times = _centres(request.start, stop, request.count)
    if request.choice == "key":
        return _nearest_keys(times, _keys_within(index, request.start, stop), index)
    return index.frame_at(times)


def _sample_clips(request: Clips, index: FrameIndex) -> Ints:
    if request.choice == "key":
        # The first clip starts at 0: the opening matters most, and other requests often need it decoded anyway.
        parts = np.arange(request.count, dtype=np.float64) * (index.end / request.count)
        starts = index.pts_seconds[_nearest_keys(parts, index.key_frames, index)]
    elif request.choice == "random":
        starts = _random_starts(request, index)
    else:
        centres = _centres(0.0, index.end, request.count)
        length = request.frames * request.step
        starts = np.clip(centres - length / 2, 0.0, max(0.0, index.end - length))
    return index.frame_at(starts[:, None] + np.arange(request.frames) * request.step)


def _random_starts(request: Clips, index: FrameIndex) -> Floats:
    """Draw start times, in order, each within one clip length after a key frame, where clips are cheap to decode."""
    rng = np.random.default_rng(request.seed)
    # Different key frames if there are enough of them.
    keys = rng.choice(index.key_frames, request.count, replace=len(index.key_frames) < request.count)
    starts: Floats = index.pts_seconds[keys] + rng.random(request.count) * (request.frames * request.step)
    latest = max(0.0, index.end - request.frames * request.step)
    return np.sort(np.minimum(starts, latest))


def _centres(start: float, stop: float, count: int) -> Floats:
    """Centres of `count` equal parts of a span."""
    return start + (np.arange(count, dtype=np.float64) + 0.5) * ((stop - start) / count)


def _keys_within(index: FrameIndex, start: float, stop: float) -> Ints:
    times = index.pts_seconds[index.key_frames]
    within = index.key_frames[(times >= start - TIME_TOLERANCE) & (times < stop)]
    # If the span has no key frame, use the last one before it: decoding any frame of the span would cost more.
    return within if len(within) else index.key_frames[[max(0, int(np.searchsorted(times, start, side="right")) - 1)]]


def _nearest_keys(times: Floats, keys: Ints, index: FrameIndex) -> Ints:
    """Return the nearest unused key frame of each time, in order; all key frames if there are no more than times."""
    if len(keys) <= len(times):
        return keys
    nearest: list[int] = []
    first = 0
    for i, time in enumerate(times):
        last = len(keys) - (len(times) - i)  # leave one key frame for each later time
        unused = index.pts_seconds[keys[first : last + 1]]
        first += int(np.argmin(np.abs(unused - time)))
        nearest.append(int(keys[first]))
        first += 1
    return np.array(nearest, np.int64)
