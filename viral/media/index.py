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

# A frame counts as shown this many seconds early: containers round times to a millisecond.
TIME_TOLERANCE = 1e-3


@dataclass(frozen=True)
class PacketInfo:
    """Header of one packet; times in ticks of the stream's time base, None where the container has none."""

    pts: int | None
    dts: int | None
    duration: int
    size: int
    key: bool
    hidden: bool = False
    """Cut off by an edit list: decoded because other frames refer to it, but not shown."""


@dataclass(frozen=True)
class FrameIndex:
    """The shown frames of a video track. Arrays and all frame numbers are in order of presentation.

    Attributes:
        pts_seconds: presentation times, float64 (P,).
        sizes: bytes of each packet, int64 (P,).
        key: which are key frames, bool (P,).
        positions: position of each frame's packet in the file, int64 (P,).
        pts: presentation times in ticks, as in the file, int64 (P,).
        end: when the last frame ends, in seconds.
        exact: every time is present and unique, so that decoded frames can be identified by their pts.
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
        """The frame on the screen at each time: the last one that has begun, or the first of all."""
        frames = np.searchsorted(self.pts_seconds, seconds + TIME_TOLERANCE, side="right") - 1
        return np.clip(frames, 0, len(self) - 1).astype(np.int64)

    @cached_property
    def key_frames(self) -> Ints:
        """The key frames; the first frame where the file marks none."""
        frames = np.flatnonzero(self.key)
        return frames.astype(np.int64) if len(frames) else np.zeros(1, np.int64)

    @property
    def closed_gops(self) -> bool:
        """Whether every group of pictures is closed: no frame shown before a key frame follows it in the file."""
        return bool((self.positions[self.key_frames] == self.key_frames).all())

    def decode_start(self, frame: int) -> int:
        """Position in the file where decoding must start to get that frame.

        It is the last key packet before the frame that is also shown no later: the leading frames of an open group of
        pictures need the group before.
        """
        keys = np.flatnonzero(self.key)
        before = keys[(self.positions[keys] <= self.positions[frame]) & (keys <= frame)]
        return int(self.positions[before].max()) if len(before) else 0


def build_index(
    packets: Sequence[PacketInfo], *, tick: float, zero: float, fps: float, timed: bool = True
) -> FrameIndex:
    """Build the index of packets in file order.

    Args:
        packets: at least one that is shown.
        tick: seconds per tick.
        zero: time in seconds, on the file's clock, that becomes 0.
        fps: frame rate for packets without any time.
        timed: whether the container stores presentation times, so that those of decoded frames can be trusted.
    """
    times = [p.pts if p.pts is not None else p.dts for p in packets]
    distinct = all(p.pts is not None for p in packets) and len(set(times)) == len(times)
    if any(t is None for t in times):
        times = [round((zero + position / fps) / tick) for position in range(len(packets))]
    ticks = np.array(times, np.int64)
    by_time = np.argsort(ticks, kind="stable").astype(np.int64)
    positions = by_time[[not packets[position].hidden for position in by_time]]
    seconds = (ticks[positions] * tick - zero).astype(np.float64)
    last_duration = packets[int(positions[-1])].duration * tick
    median_duration = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1 / fps
    return FrameIndex(
        pts_seconds=seconds,
        sizes=np.array([p.size for p in packets], np.int64)[positions],
        key=np.array([p.key for p in packets], np.bool_)[positions],
        positions=positions,
        pts=ticks[positions],
        end=float(seconds[-1]) + (last_duration if last_duration > 0 else median_duration),
        exact=timed and distinct and packets[0].key,
    )
