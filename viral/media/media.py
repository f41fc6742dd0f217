"""What one decode pass produced of one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from viral.media.requests import AudioTrack, Clips, Frames, Packets, Request


@dataclass(frozen=True)
class Facts:
    """What is known of a file: the columns `tables.FACTS`. `width` and `height` are as shown, after rotation.

    `declared_seconds` is what the header says (None where it says nothing); `seen_seconds` is where the last packet
    that was read ends.
    """

    container: str | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    width: int | None = None
    height: int | None = None
    rotation: int | None = None
    fps: float | None = None
    declared_seconds: float | None = None
    seen_seconds: float | None = None
    decoder: str | None = None
    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class FrameBatch:
    """Frames with their times: `data` uint8 (T, H, W, 3) RGB, `pts_seconds` float64 (T,)."""

    data: npt.NDArray[np.uint8]
    pts_seconds: npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClipBatch:
    """Clips with the times of their frames: `data` uint8 (C, T, H, W, 3) RGB, `pts_seconds` float64 (C, T)."""

    data: npt.NDArray[np.uint8]
    pts_seconds: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Audio:
    """Mono sound: `samples` float32 (N,) in [-1, 1], at `rate` samples a second."""

    samples: npt.NDArray[np.float32]
    rate: int


@dataclass(frozen=True)
class PacketTrack:
    """The coded picture track, read without decoding: a row a packet, in order of presentation.

    `pts_seconds` float64 (P,), `sizes` int64 (P,) bytes, `key` bool (P,).
    """

    pts_seconds: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.int64]
    key: npt.NDArray[np.bool_]


Track = FrameBatch | ClipBatch | Audio | PacketTrack


@dataclass(frozen=True)
class Media:
    """What one decode pass produced: for each request of the sampling plan its data, and the facts.

    A request that the file cannot answer (no sound, say) is not in `tracks`. `partial` holds the reason codes of what
    went wrong without making the file useless (`truncated`, `audio_failed`).
    """

    facts: Facts
    tracks: Mapping[Request, Track] = field(default_factory=dict)
    partial: tuple[str, ...] = ()

    def frames(self, request: Frames) -> FrameBatch | None:
        """The frames of that request, or None where the file has no such track."""
        track = self.tracks.get(request)
        return track if isinstance(track, FrameBatch) else None

    def clips(self, request: Clips) -> ClipBatch | None:
        """The clips of that request, or None where the file has no such track."""
        track = self.tracks.get(request)
        return track if isinstance(track, ClipBatch) else None

    def audio(self, request: AudioTrack) -> Audio | None:
        """The sound at that request's rate, or None where the file has no sound."""
        track = self.tracks.get(request)
        return track if isinstance(track, Audio) else None

    def packets(self, request: Packets) -> PacketTrack | None:
        """The coded picture track, or None where the file has none."""
        track = self.tracks.get(request)
        return track if isinstance(track, PacketTrack) else None
