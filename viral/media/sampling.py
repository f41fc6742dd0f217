"""Which frames of a file answer a request."""

from __future__ import annotations

import numpy as np

from viral.media.index import EARLY, Floats, Ints, PictureIndex
from viral.media.requests import Clips, Frames


def frame_numbers(request: Frames | Clips, index: PictureIndex) -> Ints:
    """The frames, by order of presentation, that answer the request: (T,) for frames, (C, T) for clips.

    The answer depends on the request and the file alone, never on what else is asked in the same pass. Empty where the
    span lies behind the end of the video.
    """
    return _clips(request, index) if isinstance(request, Clips) else _frames(request, index)


def _frames(request: Frames, index: PictureIndex) -> Ints:
    stop = index.end if request.stop is None else min(request.stop, index.end)
    if stop <= request.start:
        return np.zeros(0, np.int64)
    if request.choice == "key":
        return _keys(_wanted_times(request, stop), _keys_within(index, request.start, stop), index)
    return index.shown_at(_wanted_times(request, stop))


def _wanted_times(request: Frames, stop: float) -> Floats:
    if request.every is not None:
        return np.arange(request.start, stop - EARLY, request.every)
    assert request.count is not None
    return _centres(request.start, stop, request.count)


def _clips(request: Clips, index: PictureIndex) -> Ints:
    if request.choice == "key":
        # From the very beginning: the opening counts most, and plans that look at it have it decoded already.
        parts = np.arange(request.count, dtype=np.float64) * (index.end / request.count)
        starts = index.pts_seconds[_keys(parts, index.keys, index)]
    elif request.choice == "random":
        starts = _random_starts(request, index)
    else:
        centres = _centres(0.0, index.end, request.count)
        length = request.frames * request.step
        starts = np.clip(centres - length / 2, 0.0, max(0.0, index.end - length))
    return index.shown_at(starts[:, None] + np.arange(request.frames) * request.step)


def _random_starts(request: Clips, index: PictureIndex) -> Floats:
    """Up to a clip's length behind a key frame each, in order: all clips that are cheap."""
    chance = np.random.default_rng(request.seed)
    keys = chance.choice(index.keys, request.count, replace=len(index.keys) < request.count)
    starts: Floats = index.pts_seconds[keys] + chance.random(request.count) * (request.frames * request.step)
    latest = max(0.0, index.end - request.frames * request.step)
    return np.sort(np.minimum(starts, latest))


def _centres(start: float, stop: float, count: int) -> Floats:
    return start + (np.arange(count, dtype=np.float64) + 0.5) * ((stop - start) / count)


def _keys_within(index: PictureIndex, start: float, stop: float) -> Ints:
    times = index.pts_seconds[index.keys]
    within = index.keys[(times >= start - EARLY) & (times < stop)]
    # A span between two key frames is answered by the one that opens it: there is nothing cheaper in it.
    return within if len(within) else index.keys[[max(0, int(np.searchsorted(times, start, side="right")) - 1)]]


def _keys(times: Floats, keys: Ints, index: PictureIndex) -> Ints:
    """For each time the nearest key frame still free, in order; all of them where there are no more than times."""
    if len(keys) <= len(times):
        return keys
    chosen: list[int] = []
    first = 0
    for place, time in enumerate(times):
        last = len(keys) - (len(times) - place)
        free = index.pts_seconds[keys[first : last + 1]]
        first += int(np.argmin(np.abs(free - time)))
        chosen.append(int(keys[first]))
        first += 1
    return np.array(chosen, np.int64)
