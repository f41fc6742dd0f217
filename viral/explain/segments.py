"""Segment occlusion: how the score changes when a part of a video is hidden."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from viral.explain.variants import Draft, Score, Variant
from viral.media.window import Window
from viral.scoring.scorer import Scored

MOST_SEGMENTS = 12


@dataclass(frozen=True)
class Segment:
    """A part of a video, and the score of the video with that part hidden: `change` is that less the whole's score."""

    start: float
    stop: float
    scored: Scored
    change: float


@dataclass(frozen=True)
class Segments:
    """The parts of a video, in order and without gaps."""

    parts: tuple[Segment, ...]


def hide_each(score: Score, draft: Draft, seconds: float, whole: Scored) -> Segments:
    """Hide one part after the other: whole seconds each, at most twelve parts.

    Args:
        score: scores variants.
        draft: one with a video.
        seconds: how long the video lasts.
        whole: its score.
    """
    spans = parts(seconds)
    scores = score([Variant(draft, hidden=Window(start, stop)) for start, stop in spans])
    found = zip(spans, scores, strict=True)
    return Segments(tuple(Segment(*span, scored, scored.score - whole.score) for span, scored in found))


def parts(seconds: float) -> list[tuple[float, float]]:
    """Equal parts of whole seconds; the last one is what remains, with at least half a part in it."""
    length = max(1, math.ceil(seconds / MOST_SEGMENTS))
    count = max(1, int(seconds / length + 0.5))
    edges = [float(length * number) for number in range(count)] + [seconds]
    return list(pairwise(edges))
