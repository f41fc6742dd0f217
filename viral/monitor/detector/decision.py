"""Decision on a video from the scores of its frames: k of n consecutive ones, never a single frame unless asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]

EVERY_SECONDS = 0.2  # five frames per second: a logo that is shown for a second is on five of them
_EULER = 0.5772156649015329


@dataclass(frozen=True)
class Event:
    """Indexes of the first frame of a decision, of the frame with the highest score, and of the last one read."""

    start: int
    peak: int
    last: int


@dataclass(frozen=True)
class DecisionRule:
    """An event is `needed` of `window` consecutive frames with a score of at least `threshold`.

    With 1 of 1, any frame decides: at a false positive rate of 1 % per frame, 78 % of clean videos of 30 s would alert.
    """

    threshold: float
    needed: int = 3  # three of five: 0.6 s of a second, with two frames lost to motion or cuts
    window: int = 5

    def find(self, scores: Scores) -> Event | None:
        """Find the first event in the scores (T,) of consecutive frames; None if there is none.

        In a video of fewer frames than `needed`, all must pass.
        """
        above = scores >= self.threshold
        needed = min(self.needed, len(scores))
        for end in range(needed, len(scores) + 1):
            first = max(0, end - self.window)
            if needed and above[first:end].sum() >= needed:
                start = first + int(np.argmax(above[first:end]))
                return Event(start, start + int(np.argmax(scores[start:end])), end - 1)
        return None

    def video_score(self, scores: Scores) -> float:
        """Highest threshold at which the scores (T,) of a video are an event; -inf without frames."""
        if not len(scores):
            return -np.inf
        needed, window = min(self.needed, len(scores)), min(self.window, len(scores))
        windows = np.lib.stride_tricks.sliding_window_view(scores, window)
        return float(np.partition(windows, window - needed, axis=1)[:, window - needed].max())


@dataclass(frozen=True)
class CleanScores:
    """Distribution of the scores of clean videos: Gumbel's, that of the largest of many values.

    A fit, because the tolerated rate of false alerts is far below one in the number of clean videos at hand, where
    their scores themselves say nothing.
    """

    location: float
    scale: float

    @classmethod
    def fit(cls, video_scores: Scores) -> CleanScores:
        """Fit by the mean and the deviation of the scores (N,)."""
        scale = max(float(np.std(video_scores)) * np.sqrt(6) / np.pi, 1e-6)
        return cls(float(np.mean(video_scores)) - _EULER * scale, float(scale))

    def threshold(self, false_alerts_per_video: float) -> float:
        """The score that clean videos exceed at this rate."""
        return float(self.location - self.scale * np.log(-np.log1p(-false_alerts_per_video)))

    def confidence(self, score: float) -> float:
        """Fraction of clean videos that are expected to score less."""
        return float(np.exp(-np.exp(np.clip((self.location - score) / self.scale, -50, 50))))
