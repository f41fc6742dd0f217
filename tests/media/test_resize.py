from __future__ import annotations

import numpy as np
import pytest

from viral.media.requests import Fit
from viral.media.resize import inside, resize


@pytest.mark.parametrize(
    ("fit", "expected"), [("crop", (20, 30, 3)), ("stretch", (20, 30, 3)), ("inside", (20, 40, 3))]
)
def test_sizes(fit: Fit, expected: tuple[int, int, int]) -> None:
    resized = resize(np.zeros((100, 200, 3), np.uint8), (20, 30), fit)
    assert resized.shape == expected
    assert resized.dtype == np.uint8


def test_crop_keeps_the_centre_and_stretch_keeps_all() -> None:
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200] = 255
    cropped = resize(image, (10, 10), "crop")
    # The filter looks at what lies beside the window, as it does when the whole is resized and then cut.
    assert cropped[:, 1:-1].min() == 255
    assert cropped[:, 0].min() > 192
    assert resize(image, (10, 10), "stretch")[:, 0].max() == 0


def test_shrinking_averages_instead_of_picking_pixels() -> None:
    board = np.indices((256, 256)).sum(0) % 2 * 255
    resized = resize(np.stack([board.astype(np.uint8)] * 3, -1), (32, 32), "crop").astype(int)
    assert np.abs(resized - 127).max() <= 1


def test_a_picture_that_fits_is_left_alone() -> None:
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    np.testing.assert_array_equal(resize(image, (16, 16), "crop"), image)


def test_upside_down_in_is_upside_down_out() -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)
    flipped = resize(np.rot90(image, 2), (16, 12), "stretch")
    np.testing.assert_allclose(np.rot90(flipped, 2), resize(image, (16, 12), "stretch"), atol=2)


def test_the_thinnest_pictures_stay_small() -> None:
    assert inside(1, 8000, 112) == (112, 448)
    assert inside(8000, 1, 112) == (448, 112)
    assert resize(np.zeros((1, 1, 3), np.uint8), (112, 112), "crop").shape == (112, 112, 3)
    assert resize(np.zeros((1, 500, 3), np.uint8), (112, 50), "crop").shape == (112, 50, 3)
