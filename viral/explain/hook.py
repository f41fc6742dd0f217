"""The hook curve: what the first seconds of a video score alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from viral.explain.variants import Draft, Score, Variant
from viral.media.window import Window
from viral.scoring.scorer import Scored

SHARP_SECONDS = 1.0
"""So narrow a stretch is not searched any further."""
MOST_SEARCHES = 8
_EDGE = 0.25  # seconds: a point nearer to the end than this says what the end says


@dataclass(frozen=True)
class Point:
    """What the first `seconds` of a video score."""

    seconds: float
    scored: Scored


@dataclass(frozen=True)
class HookCurve:
    """The score of the first seconds of a video, from the first second to the whole.

    The hook is where the score rises most: from `start` to `stop` seconds by `rise`. All three are None where the
    score never rises, which leaves the first second or nothing at all.
    """

    points: tuple[Point, ...]
    start: float | None
    stop: float | None
    rise: float | None


def hook_curve(score: Score, draft: Draft, seconds: float, whole: Scored) -> HookCurve:
    """The curve at 1, 2, 3, 5, 8, 13 … seconds, and at the seconds between which it rises most.

    Args:
        score: scores variants.
        draft: one with a video.
        seconds: how long the video lasts.
        whole: its score.
    """
    times = moments(seconds)
    scores = score([_first(draft, time) for time in times])
    points = [*map(Point, times, scores), Point(seconds, whole)]
    for _ in range(MOST_SEARCHES):
        start, stop, rise = _steepest(points)
        between = start + max(1.0, (stop - start) // 2)
        if rise <= 0 or stop - start <= SHARP_SECONDS + _EDGE or between >= stop:
            break
        (found,) = score([_first(draft, between)])
        points = sorted([*points, Point(between, found)], key=lambda point: point.seconds)
    start, stop, rise = _steepest(points)
    return HookCurve(tuple(points), *((start, stop, rise) if rise > 0 else (None, None, None)))


def moments(seconds: float) -> list[float]:
    """The times before the end at which the curve is asked for: 1, 2, and from there the sum of the last two."""
    times = [1.0, 2.0]
    while times[-1] < seconds:
        times.append(times[-1] + times[-2])
    return [time for time in times if time < seconds - _EDGE]


def _first(draft: Draft, seconds: float) -> Variant:
    return Variant(draft, Window(0.0, seconds))


def _steepest(points: Sequence[Point]) -> tuple[float, float, float]:
    """From where to where the score rises most, and by how much."""
    steps = [(one.seconds, other.seconds, other.scored.score - one.scored.score) for one, other in pairwise(points)]
    return max(steps, key=lambda step: step[2], default=(0.0, 0.0, 0.0))
