from __future__ import annotations

import numpy as np
import pytest

from viral.demo.plan import plan_clip
from viral.demo.scenes import frames
from viral.demo.spec import CorpusSpec

SPEC = CorpusSpec()


def pictures(index: int, rate: float, size: tuple[int, int] = (320, 180)) -> tuple[np.ndarray, tuple[int, ...]]:
    clip = plan_clip(SPEC, "clip", index, seconds=5, cut_rate=rate, sound=None)
    return np.stack(list(frames(clip, size, SPEC.fps))), clip.cuts


@pytest.mark.parametrize("size", [(320, 180), (180, 320), (64, 64)])
def test_frames_are_of_the_asked_shape(size: tuple[int, int]) -> None:
    shown, _ = pictures(0, 1.0, size)
    assert shown.shape == (75, *size, 3)
    assert shown.dtype == np.uint8


@pytest.mark.parametrize("index", range(12))
def test_the_largest_changes_are_the_cuts(index: int) -> None:
    shown, cuts = pictures(index, 1.2)
    change = np.abs(np.diff(shown[:, ::4, ::4].astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    largest = np.argsort(change)[-len(cuts) :] + 1
    assert sorted(largest) == sorted(cuts)


def test_something_moves_within_every_scene() -> None:
    shown, cuts = pictures(3, 0.4)
    assert all((shown[cut] != shown[cut + 5]).any() for cut in (0, *cuts))


def test_clips_differ_in_brightness_and_colour() -> None:
    firsts = np.stack([pictures(index, 0.2)[0][0] for index in range(12)]).astype(np.float64)
    assert firsts.mean(axis=(1, 2, 3)).std() > 15
    assert np.ptp(firsts, axis=3).mean(axis=(1, 2)).std() > 15
