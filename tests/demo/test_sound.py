from __future__ import annotations

import numpy as np
import pytest

from viral.demo.plan import PlannedSound
from viral.demo.sound import RATE, loudness_db, make_sound


@pytest.mark.parametrize("opening", [-36.0, -25.0, -14.0])
@pytest.mark.parametrize("number", range(4))
def test_the_opening_and_the_rest_are_as_loud_as_stated(opening: float, number: int) -> None:
    samples = make_sound(PlannedSound(number, False, opening, -24.0), 6.0, corpus_seed=0)
    assert loudness_db(samples[: 3 * RATE]) == pytest.approx(opening, abs=0.3)
    assert loudness_db(samples[int(3.1 * RATE) :]) == pytest.approx(-24.0, abs=1.0)


def test_the_sound_is_as_long_as_asked_and_in_range() -> None:
    samples = make_sound(PlannedSound(1, True, -14.0, -20.0), 5.4, corpus_seed=0)
    assert samples.shape == (round(5.4 * RATE),)
    assert samples.dtype == np.float32
    assert np.abs(samples).max() <= 1


def test_one_number_is_one_tune() -> None:
    quiet, loud = (make_sound(PlannedSound(7, True, level, level), 4.0, corpus_seed=0) for level in (-30.0, -20.0))
    other = make_sound(PlannedSound(8, True, -20.0, -20.0), 4.0, corpus_seed=0)
    assert np.corrcoef(quiet, loud)[0, 1] > 0.99
    assert abs(np.corrcoef(other, loud)[0, 1]) < 0.5
