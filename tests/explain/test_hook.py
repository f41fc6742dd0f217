"""The hook curve finds what was planted at a known second."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.explain.conftest import BANG, SECONDS, make_score
from viral.explain.hook import hook_curve, sample_times
from viral.explain.variants import Draft, Rescorer, Variant
from viral.extractors.extractor import Context
from viral.scoring.scorer import Score


def stepping(at: float, rise: float, *, seed: int = 0) -> tuple[list[float], object]:
    """A score that rises at one second, on a slow slope with noise; and the list of requested lengths."""
    requested: list[float] = []

    def score(variants: Sequence[Variant]) -> list[Score]:
        scores = []
        for variant in variants:
            assert variant.window is not None and variant.window.stop is not None and variant.window.start == 0
            seconds = variant.window.stop
            requested.append(seconds)
            noise = np.random.default_rng([seed, round(1000 * seconds)]).uniform(-0.1, 0.1) * rise
            scores.append(make_score(8 - 0.01 * seconds + (rise if seconds > at else 0.0) + noise))
        return scores

    return requested, score


@pytest.mark.parametrize("at", [1.3, 2.5, 4.2, 6.9, 9.5, 12.5, 17.1, 28.8])
def test_a_hook_planted_at_a_known_second_is_found(at: float) -> None:
    requested, score = stepping(at, 1.0)
    curve = hook_curve(score, Draft("a.mp4"), 30.0, make_score(8 - 0.3 + 1.0))
    assert curve.start is not None and curve.stop is not None and curve.rise is not None
    assert curve.start <= at <= curve.stop
    assert curve.stop - curve.start <= 1.25
    assert curve.rise == pytest.approx(1.0, abs=0.25)
    assert len(requested) == len(set(requested)) <= 15
    assert [point.seconds for point in curve.points] == sorted({*requested, 30.0})


def test_without_a_rise_there_is_no_hook() -> None:
    _, score = stepping(99.0, 0.0)
    curve = hook_curve(score, Draft("a.mp4"), 10.0, make_score(7.0))
    assert (curve.start, curve.stop, curve.rise) == (None, None, None)


def test_a_video_of_less_than_a_second() -> None:
    curve = hook_curve(stepping(1.0, 1.0)[1], Draft("a.mp4"), 0.8, make_score(7.0))
    assert [point.seconds for point in curve.points] == [0.8]
    assert curve.rise is None


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.9, []), (1.1, []), (4.0, [1, 2, 3]), (9.6, [1, 2, 3, 5, 8]), (60.0, [1, 2, 3, 5, 8, 13, 21, 34, 55])],
)
def test_sample_times(seconds: float, expected: list[float]) -> None:
    assert sample_times(seconds) == expected


def test_a_bang_in_a_real_clip_is_found(rescorer: Rescorer, clip: str) -> None:
    draft = Draft(clip, Context(author_followers=100))
    (whole,) = rescorer([Variant(draft)])
    curve = hook_curve(rescorer, draft, SECONDS, whole)
    assert curve.start == 6.0
    assert curve.stop == 7.0
    assert curve.start <= BANG <= curve.stop
    assert curve.rise == pytest.approx(2.0)
    assert [point.seconds for point in curve.points] == [1, 2, 3, 5, 6, 7, 8, SECONDS]
