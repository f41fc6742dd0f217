"""The hook curve: the score of the first seconds of a video alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from viral.explain.variants import Draft, ScoreFunction, Variant
from viral.media.window import ClipWindow
from viral.scoring.scorer import Score

RESOLUTION_SECONDS = 1.0  # an interval this short is not searched further
MAX_SEARCHES = 8  # halvings: enough for an interval of 256 s
_EDGE = 0.25  # seconds: a point closer to the end would score what the whole video scores


@dataclass(frozen=True)
class CurvePoint:
    """Score of the first `seconds` of a video."""

    seconds: float
    prediction: Score


@dataclass(frozen=True)
class HookCurve:
    """Scores of the first seconds of a video, from the first second to the whole.

    The hook is where the score rises most: from `start` to `stop` seconds by `rise`. All three are None if the score
    never rises after the first second.
    """

    points: tuple[CurvePoint, ...]
    start: float | None
    stop: float | None
    rise: float | None


def hook_curve(score: ScoreFunction, draft: Draft, seconds: float, whole: Score) -> HookCurve:
    """Score the first 1, 2, 3, 5, 8, 13 … seconds, then bisect the interval where the score rises most.

    Args:
        score: scores variants.
        draft: a draft with a video.
        seconds: length of the video.
        whole: score of the whole video.
    """
    times = sample_times(seconds)
    # One batch for the first points; the last one, the whole video, is scored already.
    points = [*map(CurvePoint, times, score([_opening(draft, time) for time in times])), CurvePoint(seconds, whole)]
    for _ in range(MAX_SEARCHES):
        start, stop, rise = _steepest(points)
        # Whole seconds, like the other points.
        middle = start + max(1.0, (stop - start) // 2)
        if rise <= 0 or stop - start <= RESOLUTION_SECONDS + _EDGE or middle >= stop:
            break
        (prediction,) = score([_opening(draft, middle)])
        points = sorted([*points, CurvePoint(middle, prediction)], key=lambda point: point.seconds)
    start, stop, rise = _steepest(points)
    return HookCurve(tuple(points), *((start, stop, rise) if rise > 0 else (None, None, None)))


def sample_times(seconds: float) -> list[float]:
    """Return the Fibonacci numbers 1, 2, 3, 5 … before the end of the video: dense where hooks are."""
    times = [1.0, 2.0]
    while times[-1] < seconds:
        times.append(times[-1] + times[-2])
    return [time for time in times if time < seconds - _EDGE]


def _opening(draft: Draft, seconds: float) -> Variant:
    return Variant(draft, ClipWindow(0.0, seconds))


def _steepest(points: Sequence[CurvePoint]) -> tuple[float, float, float]:
    """Return the start, the stop and the rise of the step with the greatest rise."""
    steps = [
        (before.seconds, after.seconds, after.prediction.score - before.prediction.score)
        for before, after in pairwise(points)
    ]
    return max(steps, key=lambda step: step[2], default=(0.0, 0.0, 0.0))
