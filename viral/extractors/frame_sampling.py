"""A few frames that stand for a whole video, each for a share of its time, with its opening looked at more closely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.media.media import Media
from viral.media.requests import Frames

OPENING_SECONDS = 3.0

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """When the frames are shown, `pts_seconds` (T,), and the share of the video that each stands for, (T,), sum one."""

    pts_seconds: _Array
    shares: _Array

    @classmethod
    def of(cls, pts_seconds: _Array, seconds: float) -> Moments:
        """Each of the rising times stands for what is nearer to it than to its neighbours."""
        between = (pts_seconds[1:] + pts_seconds[:-1]) / 2
        lengths = np.diff(between, prepend=0.0, append=max(seconds, float(pts_seconds[-1])))
        # A single picture at 0 that lasts no time at all is still all there is.
        return cls(
            pts_seconds, lengths / lengths.sum() if lengths.sum() > 0 else np.full(len(lengths), 1 / len(lengths))
        )

    def mean(self, values: npt.ArrayLike) -> float:
        """The mean over time of a value for each frame."""
        return float(np.asarray(values, np.float64) @ self.shares)

    def opening_mean(self, values: npt.ArrayLike) -> float:
        """The mean over the frames of the first 3 s; of a video whose first picture comes later that picture's."""
        opening = self.pts_seconds < max(OPENING_SECONDS, np.nextafter(self.pts_seconds[0], np.inf))
        return float(np.asarray(values, np.float64)[opening].mean())


@dataclass(frozen=True)
class Glances:
    """What to look at: up to `whole` key frames, which are cheap, and `opening` frames spread over the first 3 s.

    Their short side is `short`. Between key frames, which platforms put a few seconds apart and at some of the cuts,
    things may come and go unseen.
    """

    short: int
    whole: int
    opening: int = 3

    @property
    def needs(self) -> tuple[Frames, Frames]:
        """The requests: the whole, the opening."""
        size = (self.short, self.short)
        return (
            Frames(count=self.whole, size=size, choice="key", fit="inside"),
            Frames(count=self.opening, size=size, stop=OPENING_SECONDS, fit="inside"),
        )

    def at(self, media: Media | None) -> tuple[npt.NDArray[np.uint8], Moments] | None:
        """The frames in order of time, each once, uint8 (T, H, W, 3); None where there are no pictures."""
        found = [media.frames(request) for request in self.needs] if media else []
        batches = [batch for batch in found if batch is not None and len(batch.data)]
        if media is None or not batches:
            return None
        times, first = np.unique(np.concatenate([batch.pts_seconds for batch in batches]), return_index=True)
        pictures = np.concatenate([batch.data for batch in batches])[first]
        seconds = media.facts.seen_seconds or media.facts.declared_seconds or 0.0
        return pictures, Moments.of(times, seconds)
