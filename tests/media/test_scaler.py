from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.media.conftest import Make
from viral.media.container import open_container
from viral.media.limits import MediaLimits
from viral.media.probe import probe
from viral.media.pyav_frames import pyav_frames
from viral.media.requests import Fit
from viral.media.resize import Size, resize
from viral.media.scaler import Scaler


def both(path: str, size: Size, fit: Fit) -> tuple[np.ndarray, np.ndarray]:
    """The first frame: by the scaler, and by resizing its RGB."""
    with open_container(path) as container:
        file = probe(container, [], MediaLimits())
        scaler = Scaler(file.geometry, file.colour)
        ((_, frame),) = pyav_frames(file.coded, [0], file.index)
        return scaler.resize(frame, size, fit), resize(scaler.to_rgb(frame), size, fit)


SHAPES: list[tuple[Size, Fit]] = [
    ((112, 112), "inside"),
    ((128, 171), "stretch"),
    ((224, 224), "crop"),
    ((90, 40), "crop"),
]


@pytest.mark.parametrize(("size", "fit"), SHAPES)
def test_it_resizes_as_pillow_does_but_for_a_shade(paths: list[str], size: Size, fit: Fit) -> None:
    for path in paths[:4]:
        scaled, resized = both(path, size, fit)
        assert scaled.shape == resized.shape
        assert scaled.dtype == np.uint8
        assert np.abs(scaled.astype(int) - resized).mean() < 1.5


def test_turned_deep_and_rgb_pictures(find: Callable[[str], str], subtests: pytest.Subtests) -> None:
    for ending in ("rotate-buck-bunny.mp4", "video_180.mov", "h264_10bits.mp4", "colr_nclx_rgb.mp4"):
        for size, fit in SHAPES:
            with subtests.test(ending, size=size, fit=fit):
                scaled, resized = both(find(ending), size, fit)
                assert scaled.shape == resized.shape
                assert np.abs(scaled.astype(int) - resized).mean() < 4


@pytest.mark.parametrize("fit", ["crop", "stretch", "inside"])
def test_a_picture_that_has_to_grow_is_left_to_pillow(make: Make, fit: Fit) -> None:
    scaled, resized = both(make("small.mp4", frames=2), (224, 224), fit)
    np.testing.assert_array_equal(scaled, resized)
