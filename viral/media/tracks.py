"""Tracks of frames and clips, from decoded frames by number."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from viral.media.index import Ints
from viral.media.media import ClipBatch, FrameBatch, Track
from viral.media.plan import Shape
from viral.media.requests import Clips, Frames, Request
from viral.media.resize import Image
from viral.media.trim import TrimmedTrack

FramesByIndex = dict[int, dict[Shape, Image]]
"""Decoded frames by number, each in all shapes that the plan requests."""


def frame_tracks(
    samples: Mapping[Frames | Clips, Ints], decoded: FramesByIndex, trimmed: TrimmedTrack
) -> dict[Request, Track]:
    """Return the track of each request that has frames.

    Args:
        samples: the frame numbers that answer each request, in the file.
        decoded: the decoded frames; others stand in for those that are missing.
        trimmed: the frames of the window.
    """
    tracks = {request: _track(request, frames, decoded, trimmed) for request, frames in samples.items()}
    return {request: track for request, track in tracks.items() if track}


def _track(
    request: Frames | Clips, frames: Ints, decoded: FramesByIndex, trimmed: TrimmedTrack
) -> FrameBatch | ClipBatch | None:
    shape = (request.size, request.fit)
    # Each frame is decoded once, but resized only to the shapes of the requests that sampled it.
    images = {number: by_shape[shape] for number, by_shape in decoded.items() if shape in by_shape}
    if not images or not frames.size:
        return None
    numbers = nearest_frames(frames, np.array(sorted(images), np.int64))
    batch = ClipBatch if isinstance(request, Clips) else FrameBatch
    stacked = np.stack([images[int(number)] for number in numbers.flat])
    times = trimmed.index.pts_seconds[numbers - trimmed.first]
    return batch(stacked.reshape(*numbers.shape, *stacked.shape[1:]), times)


def nearest_frames(frames: Ints, decoded: Ints) -> Ints:
    """Replace frames that could not be decoded by the last decoded one before them, or else by the first one."""
    return decoded[np.clip(np.searchsorted(decoded, frames, side="right") - 1, 0, None)]
