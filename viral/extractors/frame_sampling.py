"""Sampling of a few frames that represent a whole video, denser in its opening."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.extractors.extractor import OPENING_SECONDS
from viral.media.media import Media
from viral.media.requests import Frames

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FrameTimes:
    """Times of frames, `pts_seconds` (T,), and the fraction of the video that each frame represents, `weights` (T,)."""

    pts_seconds: _Array
    weights: _Array

    @classmethod
    def from_pts(cls, pts_seconds: _Array, seconds: float) -> FrameTimes:
        """Weight frames at ascending times by the time that is nearer to them than to their neighbours."""
        between = (pts_seconds[1:] + pts_seconds[:-1]) / 2
        # The first frame also stands for the time before it, the last one for the rest of the video.
        lengths = np.diff(between, prepend=0.0, append=max(seconds, float(pts_seconds[-1])))
        total = lengths.sum()  # 0 for a single frame without a duration
        return cls(pts_seconds, lengths / total if total > 0 else np.full(len(lengths), 1 / len(lengths)))

    def mean(self, values: npt.ArrayLike) -> float:
        """Mean over time of one value per frame."""
        return float(np.asarray(values, np.float64) @ self.weights)

    def opening_mean(self, values: npt.ArrayLike) -> float:
        """Mean over the frames of the first 3 s; the first frame's value if it comes later."""
        opening = self.pts_seconds < max(OPENING_SECONDS, np.nextafter(self.pts_seconds[0], np.inf))
        return float(np.asarray(values, np.float64)[opening].mean())


@dataclass(frozen=True)
class FrameSample:
    """Sample of frames: up to `keyframes` key frames, which are cheap, and `opening_frames` over the first 3 s.

    Frames are scaled to `short_side`. Anything visible only between key frames is missed; platforms put key frames a
    few seconds apart and at some cuts.
    """

    short_side: int
    keyframes: int
    opening_frames: int = 3  # one per second

    @property
    def needs(self) -> tuple[Frames, Frames]:
        """The requests: key frames, opening."""
        size = (self.short_side, self.short_side)
        return (
            Frames(count=self.keyframes, size=size, choice="key", fit="inside"),
            Frames(count=self.opening_frames, size=size, stop=OPENING_SECONDS, fit="inside"),
        )

    def frames(self, media: Media | None) -> tuple[npt.NDArray[np.uint8], FrameTimes] | None:
        """Return the distinct frames in order of time, uint8 (T, H, W, 3); None if there are none."""
        results = [media.frames(request) for request in self.needs] if media else []
        batches = [batch for batch in results if batch is not None and len(batch.data)]
        if media is None or not batches:
            return None
        # A key frame in the opening answers both requests: it counts once.
        times, first = np.unique(np.concatenate([batch.pts_seconds for batch in batches]), return_index=True)
        images = np.concatenate([batch.data for batch in batches])[first]
        seconds = media.facts.seen_seconds or media.facts.declared_seconds or 0.0
        return images, FrameTimes.from_pts(times, seconds)
