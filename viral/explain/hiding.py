"""A part of a decoded video hidden: nothing of it is seen or heard, and nothing else is decoded anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from viral.media.media import Audio, Media, PacketTrack, Track
from viral.media.window import Window

GREY = 128
"""What is seen where a request has no frame outside the hidden part."""

_Bools = npt.NDArray[np.bool_]
_Pixels = npt.NDArray[np.uint8]


def hidden(media: Media, part: Window) -> Media:
    """The same video with a part of it hidden; its length and its other facts stay.

    In the part the picture stands still, as the last frame before it, else the first one behind it: a grey picture
    would bring two cuts and a darkness that no video of a training set has. The sound is silent. Coded packets are as
    large as their like usually are, so that they tell nothing; that some are key frames stays.
    """
    return replace(media, tracks={request: _hidden(track, part) for request, track in media.tracks.items()})


def _hidden(track: Track, part: Window) -> Track:
    if isinstance(track, Audio):
        return _silenced(track, part)
    inside = (track.pts_seconds >= part.start) & (track.pts_seconds < part.until)
    if isinstance(track, PacketTrack):
        return replace(track, sizes=_levelled(track, inside))
    frames = track.data.reshape(-1, *track.data.shape[-3:])
    return replace(track, data=_still(frames, track.pts_seconds.ravel(), inside.ravel()).reshape(track.data.shape))


def _silenced(audio: Audio, part: Window) -> Audio:
    samples = audio.samples.copy()
    stop = None if part.stop is None else round(part.stop * audio.rate)
    samples[round(part.start * audio.rate) : stop] = 0.0
    return replace(audio, samples=samples)


def _levelled(track: PacketTrack, inside: _Bools) -> npt.NDArray[np.int64]:
    sizes = track.sizes.copy()
    for alike in (track.key, ~track.key):
        seen = track.sizes[alike & ~inside]
        if len(seen):
            sizes[alike & inside] = round(float(np.median(seen)))
    return sizes


def _still(frames: _Pixels, times: npt.NDArray[np.float64], inside: _Bools) -> _Pixels:
    seen = np.flatnonzero(~inside)
    if not len(seen):
        return np.full_like(frames, GREY)
    seen = seen[np.argsort(times[seen], kind="stable")]
    before = np.clip(np.searchsorted(times[seen], times, side="right") - 1, 0, None)
    shown: _Pixels = frames[np.where(inside, seen[before], np.arange(len(frames)))]
    return shown
