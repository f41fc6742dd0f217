from __future__ import annotations

import numpy as np
import pytest

from viral.extractors.frame_sampling import Glances, Moments
from viral.media.media import Facts, FrameBatch, Media

GLANCES = Glances(short=8, whole=3)


def grey(*times: float) -> FrameBatch:
    """Frames of which each is as grey as its time says."""
    data = np.stack([np.full((8, 8, 3), round(10 * time), np.uint8) for time in times])
    return FrameBatch(data, np.array(times))


def test_a_frame_stands_for_the_time_that_is_nearest_to_it() -> None:
    moments = Moments.of(np.array([1.0, 2.0, 9.0]), 10.0)
    assert moments.shares == pytest.approx([0.15, 0.4, 0.45])
    assert moments.mean([0, 0, 1]) == pytest.approx(0.45)
    assert moments.opening_mean([1, 0, 1]) == 0.5
    assert Moments.of(np.array([4.0, 5.0]), 10.0).opening_mean([7, 9]) == 7


@pytest.mark.parametrize(("times", "seconds"), [([0.0], 0.0), ([0.0, 7.0], 0.0), ([2.0], 5.0)])
def test_shares_sum_to_one_whatever_is_known(times: list[float], seconds: float) -> None:
    assert Moments.of(np.array(times), seconds).shares.sum() == pytest.approx(1)


def test_key_frames_and_the_opening_come_in_order_and_once() -> None:
    whole, opening = GLANCES.needs
    media = Media(Facts(seen_seconds=20.0), {whole: grey(0.0, 8.0, 16.0), opening: grey(0.0, 1.5, 2.5)})
    seen = GLANCES.at(media)
    assert seen is not None
    pictures, moments = seen
    assert moments.pts_seconds.tolist() == [0.0, 1.5, 2.5, 8.0, 16.0]
    assert pictures[:, 0, 0, 0].tolist() == [0, 15, 25, 80, 160]


def test_nothing_to_see() -> None:
    assert GLANCES.at(None) is None
    assert GLANCES.at(Media(Facts())) is None
