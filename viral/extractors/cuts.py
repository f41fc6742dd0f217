"""Where a video cuts: told from pictures where they are decoded, from the sizes of its coded packets elsewhere."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from viral.media.media import FrameBatch, PacketTrack

_Array = npt.NDArray[np.float64]

# Chosen among some forty settings on 43 real TikToks, against the cuts that stand out and last when every one of their
# frames is looked at. On those same videos, which flatters, the cheap way finds 80 % of 155 cuts and is right in 74 %;
# frames an eighth of a second apart find 86 % and are right in 94 %.
_DIFFERENCE = 12.0  # of 255: the least mean change of a pixel that can be a cut
_STANDS_OUT = 2.5  # how much more a cut changes than the steps around it
_AROUND = 2  # steps on each side that it is compared with
_SPIKE = 2.2  # a new scene costs this many times the largest packets around it
_SPIKE_OF_KEY = 0.25  # and at least this part of a key frame
_NEIGHBOURHOOD = 1.0  # seconds on each side that are around a packet
_LARGE = 0.9  # the quantile that is the largest packets, one spike aside
_PERIODIC = 0.97  # a key frame that comes sooner than this part of the encoder's interval was put there by a cut
_USUAL_INTERVAL = 250  # frames: x264's default, which the platforms keep
_ALIKE = 8.0  # of 255: pictures nearer than this lie in one scene
_APART = 0.3  # seconds: a shorter shot is a flash


def differences(frames: npt.NDArray[np.uint8]) -> _Array:
    """The mean absolute change of a pixel from frame to frame, 0 to 255, (T - 1,)."""
    changes = [np.abs(b.astype(np.int16) - a).mean() for a, b in pairwise(frames)]
    return np.array(changes, dtype=np.float64)


def picture_cuts(batch: FrameBatch) -> _Array:
    """The times of the cuts between frames that are a fraction of a second apart."""
    changes = differences(batch.data)
    cuts = [
        batch.pts_seconds[step + 1]
        for step in np.flatnonzero(changes > _DIFFERENCE)
        if changes[step] > _STANDS_OUT * _around(changes, int(step))
    ]
    return _thinned(cuts)


def packet_cuts(track: PacketTrack) -> _Array:
    """The times where the encoder had to draw anew: unscheduled key frames, and packets far larger than their like.

    A cut that falls on a scheduled key frame is not told from one that does not.
    """
    return _thinned(sorted([*_unscheduled(track), *_spikes(track)]))


def seen_cuts(candidates: _Array, batch: FrameBatch) -> _Array:
    """The candidates that have unlike pictures before and after them, as far as the few frames can tell."""
    starts = np.searchsorted(batch.pts_seconds, candidates - 0.02)
    kept = [
        time
        for time, after in zip(candidates, starts, strict=True)
        if not 0 < after < len(batch.data) or differences(batch.data[after - 1 : after + 1])[0] >= _ALIKE
    ]
    return np.array(kept, dtype=np.float64)


def _around(changes: _Array, step: int) -> float:
    before = changes[max(0, step - _AROUND) : step]
    after = changes[step + 1 : step + 1 + _AROUND]
    return float(np.concatenate([before, after, np.zeros(1 if len(changes) == 1 else 0)]).mean())


def _unscheduled(track: PacketTrack) -> list[float]:
    keys = np.flatnonzero(track.key)
    if len(keys) < 2:
        return []
    gaps = np.diff(keys)
    scheduled = gaps >= _PERIODIC * _interval(gaps, len(track.key) - int(keys[-1]))
    return [float(time) for time in track.pts_seconds[keys[1:]][~scheduled]]


def _interval(gaps: npt.NDArray[np.int64], last: int) -> float:
    """The frames after which the encoder puts a key frame without being asked to by a cut."""
    longest = max(int(gaps.max()), last)
    alike = np.count_nonzero(gaps >= _PERIODIC * longest)
    if len(gaps) == 1 or alike > 1 or last >= _PERIODIC * longest or longest >= _PERIODIC * _USUAL_INTERVAL:
        return longest
    # The longest of several gaps comes once: it ends with a cut like the others.
    return np.inf


def _spikes(track: PacketTrack) -> list[float]:
    if not track.key.any():
        return []
    others = np.flatnonzero(~track.key)
    times, sizes = track.pts_seconds[others], track.sizes[others].astype(np.float64)
    of_key = np.interp(times, track.pts_seconds[track.key], track.sizes[track.key])
    large = np.flatnonzero(sizes > _SPIKE_OF_KEY * of_key)
    return [float(times[place]) for place in large if sizes[place] > _SPIKE * _largest_around(times, sizes, int(place))]


def _largest_around(times: _Array, sizes: _Array, place: int) -> float:
    first, last = np.searchsorted(times, times[place] + np.array([-_NEIGHBOURHOOD, _NEIGHBOURHOOD]))
    others = np.delete(sizes[first:last], place - first)
    return float(np.quantile(others, _LARGE)) if len(others) >= 3 else np.inf


def _thinned(times: list[float]) -> _Array:
    kept: list[float] = []
    for time in times:
        if not kept or time - kept[-1] >= _APART:
            kept.append(float(time))
    return np.array(kept, dtype=np.float64)
