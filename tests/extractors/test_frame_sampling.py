from __future__ import annotations

import numpy as np
import pytest

from viral.extractors.frame_sampling import FrameSample, FrameTimes
from viral.media.media import Facts, FrameBatch, Media

SAMPLE = FrameSample(short_side=8, keyframes=3)


def grey(*times: float) -> FrameBatch:
    """Frames of which each is as grey as its time says."""
    data = np.stack([np.full((8, 8, 3), round(10 * time), np.uint8) for time in times])
    return FrameBatch(data, np.array(times))


def test_a_frame_stands_for_the_time_that_is_nearest_to_it() -> None:
    times = FrameTimes.from_pts(np.array([1.0, 2.0, 9.0]), 10.0)
    assert times.weights == pytest.approx([0.15, 0.4, 0.45])
    assert times.mean([0, 0, 1]) == pytest.approx(0.45)
    assert times.opening_mean([1, 0, 1]) == 0.5
    assert FrameTimes.from_pts(np.array([4.0, 5.0]), 10.0).opening_mean([7, 9]) == 7


@pytest.mark.parametrize(("times", "seconds"), [([0.0], 0.0), ([0.0, 7.0], 0.0), ([2.0], 5.0)])
def test_shares_sum_to_one_whatever_is_known(times: list[float], seconds: float) -> None:
    assert FrameTimes.from_pts(np.array(times), seconds).weights.sum() == pytest.approx(1)


def test_key_frames_and_the_opening_come_in_order_and_once() -> None:
    whole, opening = SAMPLE.needs
    media = Media(Facts(seen_seconds=20.0), {whole: grey(0.0, 8.0, 16.0), opening: grey(0.0, 1.5, 2.5)})
    sample = SAMPLE.frames(media)
    assert sample is not None
    images, times = sample
    assert times.pts_seconds.tolist() == [0.0, 1.5, 2.5, 8.0, 16.0]
    assert images[:, 0, 0, 0].tolist() == [0, 15, 25, 80, 160]


def test_nothing_to_see() -> None:
    assert SAMPLE.frames(None) is None
    assert SAMPLE.frames(Media(Facts())) is None
