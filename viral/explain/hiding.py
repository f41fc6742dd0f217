"""Hide a part of a decoded video, without decoding anything again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from viral.media.media import Audio, Media, PacketTrack, Track
from viral.media.window import ClipWindow

GREY = 128
"""Pixel value if a request has no frame outside the hidden part: the middle of the range."""

_Bools = npt.NDArray[np.bool_]
_Pixels = npt.NDArray[np.uint8]


def hide(media: Media, window: ClipWindow) -> Media:
    """Return the video with a part of it hidden; its length and other facts stay.

    Hidden frames repeat the last frame before the part, or else the first one after it: grey frames would add two cuts
    and a darkness that no training video has. Hidden sound is silent. Hidden packets get the median size of the visible
    packets of their kind; key frames stay key frames.
    """
    return replace(media, tracks={request: _hide(track, window) for request, track in media.tracks.items()})


def _hide(track: Track, window: ClipWindow) -> Track:
    if isinstance(track, Audio):
        return _silence(track, window)
    inside = (track.pts_seconds >= window.start) & (track.pts_seconds < window.until)
    if isinstance(track, PacketTrack):
        return replace(track, sizes=_level(track, inside))
    frames = track.data.reshape(-1, *track.data.shape[-3:])
    return replace(track, data=_freeze(frames, track.pts_seconds.ravel(), inside.ravel()).reshape(track.data.shape))


def _silence(audio: Audio, window: ClipWindow) -> Audio:
    samples = audio.samples.copy()
    stop = None if window.stop is None else round(window.stop * audio.rate)
    samples[round(window.start * audio.rate) : stop] = 0.0
    return replace(audio, samples=samples)


def _level(track: PacketTrack, inside: _Bools) -> npt.NDArray[np.int64]:
    sizes = track.sizes.copy()
    # Key frames and others differ in size: each hidden packet gets the median of its own kind.
    for kind in (track.key, ~track.key):
        visible = track.sizes[kind & ~inside]
        if len(visible):
            sizes[kind & inside] = round(float(np.median(visible)))
    return sizes


def _freeze(frames: _Pixels, times: npt.NDArray[np.float64], inside: _Bools) -> _Pixels:
    visible = np.flatnonzero(~inside)
    if not len(visible):
        return np.full_like(frames, GREY)
    # Frames of several clips are not in the order of time.
    visible = visible[np.argsort(times[visible], kind="stable")]
    before = np.clip(np.searchsorted(times[visible], times, side="right") - 1, 0, None)
    frozen: _Pixels = frames[np.where(inside, visible[before], np.arange(len(frames)))]
    return frozen
