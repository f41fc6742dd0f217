"""Segment occlusion: how the score changes when a part of a video is hidden."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from viral.explain.variants import Draft, ScoreFunction, Variant
from viral.media.window import ClipWindow
from viral.scoring.scorer import Score

MAX_SEGMENTS = 12  # each costs one pass of the extractors: 5 s parts for a minute of video


@dataclass(frozen=True)
class VideoSegment:
    """A part of a video, the score with that part hidden, and the `change` against the score of the whole."""

    start: float
    stop: float
    prediction: Score
    change: float


@dataclass(frozen=True)
class Segments:
    """The parts of a video, in order and without gaps."""

    parts: tuple[VideoSegment, ...]


def occlude(score: ScoreFunction, draft: Draft, seconds: float, whole: Score) -> Segments:
    """Hide one part after the other: whole seconds each, at most `MAX_SEGMENTS` parts.

    Args:
        score: scores variants.
        draft: a draft with a video.
        seconds: length of the video.
        whole: score of the whole video.
    """
    spans = segment_spans(seconds)
    predictions = score([Variant(draft, hidden=ClipWindow(start, stop)) for start, stop in spans])
    pairs = zip(spans, predictions, strict=True)
    return Segments(tuple(VideoSegment(*span, hidden, hidden.score - whole.score) for span, hidden in pairs))


def segment_spans(seconds: float) -> list[tuple[float, float]]:
    """Return equal parts of whole seconds; the last one takes the rest, and is at least half as long as the others."""
    length = max(1, math.ceil(seconds / MAX_SEGMENTS))
    # Rounded, so that a rest of less than half a part joins the last one.
    count = max(1, int(seconds / length + 0.5))
    # Whole seconds, except for the end of the video.
    edges = [float(length * index) for index in range(count)] + [seconds]
    return list(pairwise(edges))
