"""Sampling plan: the requests of all extractors for one file, which is then read once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from viral.media.index import FrameIndex, Ints
from viral.media.requests import AudioTrack, Clips, Fit, Frames, Packets, Request
from viral.media.sampling import sample_frames
from viral.media.window import ClipWindow

Shape = tuple[tuple[int, int], Fit]
"""Target of a resize: (height, width), and how to fit it."""


@dataclass(frozen=True)
class SamplingPlan:
    """Distinct requests in order, for a whole file or for a `window` of it. Use `from_requests` to build one."""

    requests: tuple[Request, ...]
    window: ClipWindow | None = None

    @classmethod
    def from_requests(cls, requests: Iterable[Request], window: ClipWindow | None = None) -> SamplingPlan:
        """Build a plan, without duplicate requests."""
        return cls(tuple(dict.fromkeys(requests)), window)

    @property
    def frame_requests(self) -> tuple[Frames | Clips, ...]:
        """Requests that need decoded frames."""
        return tuple(r for r in self.requests if isinstance(r, Frames | Clips))

    @property
    def audio_requests(self) -> tuple[AudioTrack, ...]:
        """Requests for audio."""
        return tuple(r for r in self.requests if isinstance(r, AudioTrack))

    @property
    def packet_requests(self) -> tuple[Packets, ...]:
        """Requests for the coded video track."""
        return tuple(r for r in self.requests if isinstance(r, Packets))

    def sample(self, index: FrameIndex) -> dict[Frames | Clips, Ints]:
        """Return the frame numbers that answer each frame request."""
        return {request: sample_frames(request, index) for request in self.frame_requests}


def shapes_by_frame(samples: Mapping[Frames | Clips, Ints]) -> dict[int, tuple[Shape, ...]]:
    """Return the numbers of all sampled frames, in order, each with the distinct shapes to resize it to."""
    shapes: dict[int, dict[Shape, None]] = {}
    for request, frames in samples.items():
        for frame in np.unique(frames):
            # A dict as an ordered set: the same shape of two requests is computed once.
            shapes.setdefault(int(frame), {})[(request.size, request.fit)] = None
    return {frame: tuple(shapes[frame]) for frame in sorted(shapes)}
