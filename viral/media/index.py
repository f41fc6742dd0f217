"""The index of a picture track: when each frame is shown, and from where it can be decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

EARLY = 1e-3
"""A frame counts as shown this many seconds early, since containers round times to a millisecond."""


@dataclass(frozen=True)
class PacketFact:
    """What the index keeps of one packet; times in ticks, None where the container has none."""

    pts: int | None
    dts: int | None
    duration: int
    size: int
    key: bool
    hidden: bool = False
    """To be decoded for others' sake and not shown, since an edit list cuts it off."""


@dataclass(frozen=True)
class PictureIndex:
    """The packets of a picture track that are shown. Arrays are in order of presentation, and so are all frame numbers.

    `pts_seconds` float64 (P,), `sizes` int64 (P,), `key` bool (P,); `coded` int64 (P,) is the place of each frame in
    the file; `ticks` int64 (P,) are the times as the file has them; `end` is when the last frame ends. `exact` says
    that the times are all there and all differ: only then can a frame be told by its time.
    """

    pts_seconds: Floats
    sizes: Ints
    key: Bools
    coded: Ints
    ticks: Ints
    end: float
    exact: bool

    def __len__(self) -> int:
        return len(self.ticks)

    def shown_at(self, seconds: Floats) -> Ints:
        """The frame on the screen at each of these times: the last one that has begun, or the first of all."""
        places = np.searchsorted(self.pts_seconds, seconds + EARLY, side="right") - 1
        return np.clip(places, 0, len(self) - 1).astype(np.int64)

    @cached_property
    def keys(self) -> Ints:
        """The key frames; the first frame stands in where the file marks none."""
        found = np.flatnonzero(self.key)
        return found.astype(np.int64) if len(found) else np.zeros(1, np.int64)

    @property
    def closed(self) -> bool:
        """Whether nothing that is shown before a key frame comes behind it in the file."""
        return bool((self.coded[self.keys] == self.keys).all())

    def entry(self, frame: int) -> int:
        """The place in the file where decoding must begin to see that frame.

        That is the last key packet before it that is also shown no later: frames which lead an open group of
        pictures need the group before.
        """
        keys = np.flatnonzero(self.key)
        before = keys[(self.coded[keys] <= self.coded[frame]) & (keys <= frame)]
        return int(self.coded[before].max()) if len(before) else 0


def build(packets: Sequence[PacketFact], *, tick: float, zero: float, fps: float, timed: bool = True) -> PictureIndex:
    """The index of these packets, which come in the order of the file.

    Args:
        packets: at least one that is shown.
        tick: seconds a tick.
        zero: the time in seconds, by the file's clock, that counts as 0.
        fps: frames a second, for packets without any time.
        timed: whether the container stores times of presentation, so that those of frames can be trusted.
    """
    times = [p.pts if p.pts is not None else p.dts for p in packets]
    distinct = all(p.pts is not None for p in packets) and len(set(times)) == len(times)
    if any(t is None for t in times):
        times = [round((zero + place / fps) / tick) for place in range(len(packets))]
    ticks = np.array(times, np.int64)
    by_time = np.argsort(ticks, kind="stable").astype(np.int64)
    coded = by_time[[not packets[place].hidden for place in by_time]]
    seconds = (ticks[coded] * tick - zero).astype(np.float64)
    last = packets[int(coded[-1])].duration * tick
    usual = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1 / fps
    return PictureIndex(
        pts_seconds=seconds,
        sizes=np.array([p.size for p in packets], np.int64)[coded],
        key=np.array([p.key for p in packets], np.bool_)[coded],
        coded=coded,
        ticks=ticks[coded],
        end=float(seconds[-1]) + (last if last > 0 else usual),
        exact=timed and distinct and packets[0].key,
    )
