"""Index of a video track: when each frame is shown, and where in the file its decoding must start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# A frame counts as on screen this many seconds early, since containers round times to a millisecond.
TIME_TOLERANCE = 1e-3


@dataclass(frozen=True)
class PacketInfo:
    """Header of one packet; times in units of the stream's time base, None where the container stores none."""

    pts: int | None
    dts: int | None
    duration: int
    size: int
    key: bool
    hidden: bool = False
    """Removed by an edit list: decoded because other frames refer to it, but not shown."""


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a video track that are shown. Arrays and frame numbers are in presentation order.

    Attributes:
        pts_seconds: presentation times, float64 (P,).
        sizes: bytes of each packet, int64 (P,).
        key: mask of the key frames, bool (P,).
        positions: position of each frame's packet in the file, int64 (P,).
        pts: presentation times in units of the stream's time base, int64 (P,).
        end: end of the last frame, in seconds.
        exact: every frame has a unique pts, so decoded frames can be identified by it.
    """

    pts_seconds: Floats
    sizes: Ints
    key: Bools
    positions: Ints
    pts: Ints
    end: float
    exact: bool

    def __len__(self) -> int:
        return len(self.pts)

    def frame_at(self, seconds: Floats) -> Ints:
        """Return the frame on screen at each time: the last one that has begun, or the first of the video."""
        frames = np.searchsorted(self.pts_seconds, seconds + TIME_TOLERANCE, side="right") - 1
        return np.clip(frames, 0, len(self) - 1).astype(np.int64)

    @cached_property
    def key_frames(self) -> Ints:
        """Numbers of the key frames, or of the first frame if the file marks none."""
        frames = np.flatnonzero(self.key)
        return frames.astype(np.int64) if len(frames) else np.zeros(1, np.int64)

    @property
    def closed_gops(self) -> bool:
        """Whether all groups of pictures are closed: no frame after a key frame in the file is shown before it."""
        return bool((self.positions[self.key_frames] == self.key_frames).all())

    def decode_start(self, frame: int) -> int:
        """Return the position in the file where decoding must start to get a frame.

        This is the last key packet at or before the frame, in the file and on screen: frames of an open group of
        pictures that are shown before its key frame need the previous group.
        """
        keys = np.flatnonzero(self.key)
        before = keys[(self.positions[keys] <= self.positions[frame]) & (keys <= frame)]
        return int(self.positions[before].max()) if len(before) else 0


def build_index(
    packets: Sequence[PacketInfo], *, time_base: float, origin: float, fps: float, timed: bool = True
) -> FrameIndex:
    """Build the index of packets in file order.

    Args:
        packets: at least one that is not hidden.
        time_base: seconds per unit of the packets' times.
        origin: time in seconds, on the clock of the file, that becomes 0.
        fps: frame rate, used if packets have no times.
        timed: whether the container stores presentation times; times that ffmpeg makes up cannot identify frames.
    """
    times = [p.pts if p.pts is not None else p.dts for p in packets]
    distinct = all(p.pts is not None for p in packets) and len(set(times)) == len(times)
    # Stored times and made-up ones would not be in one order: a single missing time replaces them all.
    if any(t is None for t in times):
        times = [round((origin + position / fps) / time_base) for position in range(len(packets))]
    pts = np.array(times, np.int64)
    # B frames are stored after the frames that they refer to: the order in the file is not that of presentation.
    by_time = np.argsort(pts, kind="stable").astype(np.int64)
    positions = by_time[[not packets[position].hidden for position in by_time]]
    seconds = (pts[positions] * time_base - origin).astype(np.float64)
    last_duration = packets[int(positions[-1])].duration * time_base
    median_duration = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1 / fps
    return FrameIndex(
        pts_seconds=seconds,
        sizes=np.array([p.size for p in packets], np.int64)[positions],
        key=np.array([p.key for p in packets], np.bool_)[positions],
        positions=positions,
        pts=pts[positions],
        end=float(seconds[-1]) + (last_duration if last_duration > 0 else median_duration),
        # A track that does not begin with a key frame loses frames at its start, so positions and times do not match.
        exact=timed and distinct and packets[0].key,
    )
