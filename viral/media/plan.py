"""The sampling plan: what several extractors ask of one file, so that it is read once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from viral.media.index import Ints, PictureIndex
from viral.media.requests import AudioTrack, Clips, Fit, Frames, Packets, Request
from viral.media.sampling import frame_numbers
from viral.media.window import Window

Shape = tuple[tuple[int, int], Fit]
"""One way to resize: (height, width), and how."""


@dataclass(frozen=True)
class Plan:
    """Requests without repeats, in order, of a whole file or of a `window` of it. Make it with `Plan.of`."""

    requests: tuple[Request, ...]
    window: Window | None = None

    @classmethod
    def of(cls, requests: Iterable[Request], window: Window | None = None) -> Plan:
        """The plan that answers all of these requests, each once."""
        return cls(tuple(dict.fromkeys(requests)), window)

    @property
    def pictures(self) -> tuple[Frames | Clips, ...]:
        """The requests that need frames decoded."""
        return tuple(r for r in self.requests if isinstance(r, Frames | Clips))

    @property
    def sounds(self) -> tuple[AudioTrack, ...]:
        """The requests for sound."""
        return tuple(r for r in self.requests if isinstance(r, AudioTrack))

    @property
    def packets(self) -> tuple[Packets, ...]:
        """The requests for the coded track."""
        return tuple(r for r in self.requests if isinstance(r, Packets))

    def numbers(self, index: PictureIndex) -> dict[Frames | Clips, Ints]:
        """For each picture request the frames that answer it, by order of presentation."""
        return {request: frame_numbers(request, index) for request in self.pictures}


def shapes_by_frame(numbers: Mapping[Frames | Clips, Ints]) -> dict[int, tuple[Shape, ...]]:
    """The union of the wanted frames, in order, each with the distinct shapes that it is wanted in."""
    wanted: dict[int, dict[Shape, None]] = {}
    for request, frames in numbers.items():
        for frame in np.unique(frames):
            wanted.setdefault(int(frame), {})[(request.size, request.fit)] = None
    return {frame: tuple(wanted[frame]) for frame in sorted(wanted)}
