"""Decoded media and facts of one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from viral.media.requests import AudioTrack, Clips, Frames, Packets, Request

VideoHash = bytes
"""A perceptual hash of a video; named, because `Facts` has a field `bytes`."""


@dataclass(frozen=True)
class Facts:
    """Facts of a file, the columns of `schemas.FACTS`. `width` and `height` are those after rotation.

    `declared_seconds` is the duration in the header, if any; `seen_seconds` is the end time of the last packet;
    `video_hash` is the perceptual hash, added by a backfill. `transfer` and `hdr`: see `media.colour.Colour`. `slides`
    is the number of pictures of a photo set.
    """

    container: str | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    width: int | None = None
    height: int | None = None
    rotation: int | None = None
    transfer: str | None = None
    hdr: bool | None = None
    fps: float | None = None
    declared_seconds: float | None = None
    seen_seconds: float | None = None
    decoder: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    video_hash: VideoHash | None = None
    slides: int | None = None

    @property
    def uncertain_light(self) -> bool:
        """Whether the video may be HDR without saying so: the brightness and colours of its frames are uncertain."""
        return bool(self.hdr) and self.transfer is None


@dataclass(frozen=True)
class FrameBatch:
    """Frames and their times: `data` uint8 (T, H, W, 3) RGB, `pts_seconds` float64 (T,)."""

    data: npt.NDArray[np.uint8]
    pts_seconds: npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClipBatch:
    """Clips and the times of their frames: `data` uint8 (C, T, H, W, 3) RGB, `pts_seconds` float64 (C, T)."""

    data: npt.NDArray[np.uint8]
    pts_seconds: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Audio:
    """Mono audio: `samples` float32 (N,) in [-1, 1], at `rate` samples per second."""

    samples: npt.NDArray[np.float32]
    rate: int


@dataclass(frozen=True)
class PacketTrack:
    """The coded video track, read without decoding, in presentation order.

    `pts_seconds` float64 (P,), `sizes` int64 (P,) bytes, `key` bool (P,).
    """

    pts_seconds: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.int64]
    key: npt.NDArray[np.bool_]


Track = FrameBatch | ClipBatch | Audio | PacketTrack


@dataclass(frozen=True)
class Media:
    """Result of a decode pass: one track per request of the sampling plan, and the facts of the file.

    `tracks` lacks the requests that the file cannot answer, for example audio of a silent video. `partial` lists the
    reason codes of failures that leave the rest of the file usable, `truncated` for example; `notes` says more about
    them, in words.
    """

    facts: Facts
    tracks: Mapping[Request, Track] = field(default_factory=dict)
    partial: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of the frames and the sound of all tracks."""
        tracks = (track for track in self.tracks.values() if not isinstance(track, PacketTrack))
        return sum((track.samples if isinstance(track, Audio) else track.data).nbytes for track in tracks)

    def frames(self, request: Frames) -> FrameBatch | None:
        """Return the frames of a request, or None if the file cannot answer it."""
        track = self.tracks.get(request)
        return track if isinstance(track, FrameBatch) else None

    def clips(self, request: Clips) -> ClipBatch | None:
        """Return the clips of a request, or None if the file cannot answer it."""
        track = self.tracks.get(request)
        return track if isinstance(track, ClipBatch) else None

    def audio(self, request: AudioTrack) -> Audio | None:
        """Return the audio at the rate of a request, or None if the file has none."""
        track = self.tracks.get(request)
        return track if isinstance(track, Audio) else None

    def packets(self, request: Packets) -> PacketTrack | None:
        """Return the coded video track, or None if it was not requested."""
        track = self.tracks.get(request)
        return track if isinstance(track, PacketTrack) else None
