"""Trimming of the tracks of a file to a window, without re-encoding."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from viral.errors import EmptyWindowError
from viral.media.index import TIME_TOLERANCE, Bools, FrameIndex
from viral.media.media import Audio, PacketTrack
from viral.media.window import ClipWindow


@dataclass(frozen=True)
class TrimmedTrack:
    """Frames of a video track within a window: frame n of `index` is frame `first` + n of the file.

    Times count from the start of the window. `key` bool (P,) marks the key frames of the file; `index` also marks the
    first frame, which would be a key frame in a file cut there.
    """

    index: FrameIndex
    key: Bools
    first: int = 0

    @property
    def packets(self) -> PacketTrack:
        """The coded track, with the key flags of the file: the first packet may be smaller than a key frame."""
        return PacketTrack(self.index.pts_seconds, self.index.sizes, self.key)


def trim_frames(index: FrameIndex, window: ClipWindow | None, seen_seconds: float) -> TrimmedTrack:
    """Keep the frame on screen at the start of the window, and all later frames that begin before its end.

    Args:
        index: frame index of the whole track.
        window: None for the whole track.
        seen_seconds: end of the last packet of the file. If audio outlasts the video, the last frame stays on screen.

    Raises:
        EmptyWindowError: the window has no frame.
    """
    if window is None:
        return TrimmedTrack(index, index.key)
    first = int(index.frame_at(np.array([window.start]))[0])
    # A frame that begins at the end of the window, up to rounding, is outside.
    last = int(np.searchsorted(index.pts_seconds, window.until - TIME_TOLERANCE))
    if window.start >= seen_seconds or last <= first:
        span = f"the video lasts from {index.pts_seconds[0]:.3g} s to {max(index.end, seen_seconds):.3g} s"
        raise EmptyWindowError(f"there is no video from {window}: {span}")
    # The video may end before the window starts, while the sound goes on: its last frame is still on screen.
    end = index.end if index.end > window.start else seen_seconds
    key = index.key[first:last]
    trimmed = replace(
        index,
        # The first frame may begin before the window; there it is on screen from 0.
        pts_seconds=np.maximum(index.pts_seconds[first:last] - window.start, 0.0),
        sizes=index.sizes[first:last],
        key=np.concatenate([np.ones(1, np.bool_), key[1:]]),
        positions=index.positions[first:last],
        pts=index.pts[first:last],
        end=window.length(end),
    )
    return TrimmedTrack(trimmed, key, first)


def trim_audio(audio: dict[int, Audio], window: ClipWindow | None) -> dict[int, Audio]:
    """Trim the audio, given by rate; drop rates without a sample in the window.

    Args:
        audio: the whole track at each rate, from time 0.
        window: None for the whole track.
    """
    if window is None:
        return audio
    trimmed = {rate: _trim(track, window) for rate, track in audio.items()}
    return {rate: track for rate, track in trimmed.items() if len(track.samples)}


def _trim(audio: Audio, window: ClipWindow) -> Audio:
    # By samples: the track starts at time 0 of the file.
    start = round(window.start * audio.rate)
    stop = None if window.stop is None else round(window.stop * audio.rate)
    # A slice would keep the whole track in memory.
    return Audio(audio.samples[start:stop].copy(), audio.rate)
