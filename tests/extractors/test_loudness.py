from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from viral.extractors.descriptors import RATE
from viral.extractors.extractor import PostInput
from viral.extractors.loudness import LOUDNESS_COLUMNS, Loudness
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import Audio, Facts, Media
from viral.media.plan import SamplingPlan
from viral.weights.resolve import resolve_local

REQUEST = Loudness().needs[0]
ENCODE = Loudness().load("cpu", resolve_local)


def sounding(samples: np.ndarray) -> PostInput:
    return PostInput(Media(Facts(), {REQUEST: Audio(samples.astype(np.float32), RATE)}))


def columns(sample: PostInput) -> dict[str, float]:
    vector = ENCODE(sample)
    assert vector is not None
    assert vector.shape == (Loudness.dim,)
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()
    return dict(zip(LOUDNESS_COLUMNS, vector.tolist(), strict=True))


def tone(decibels: float, seconds: float, hertz: float = 997.0) -> np.ndarray:
    return 10 ** (decibels / 20) * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def test_absent_without_a_sound_track() -> None:
    assert ENCODE(PostInput(None)) is None
    assert ENCODE(PostInput(Media(Facts()))) is None
    assert ENCODE(sounding(np.zeros(0))) is None


@pytest.mark.parametrize("seconds", [0.001, 0.1, 0.4, 2.0, 9.0])
def test_silence_is_at_the_floor(seconds: float) -> None:
    for quiet in (np.zeros(int(seconds * RATE)), np.full(int(seconds * RATE), 1e-9)):
        result = columns(sounding(quiet))
        assert {result["integrated"], result["momentary_max"], result["opening_integrated"]} == {-70}
        assert result["true_peak"] == result["sample_peak"] == pytest.approx(-100)
        assert result["measured"] == result["opening_measured"] == result["range"] == result["opening_difference"] == 0


@pytest.mark.parametrize("decibels", [0.0, -23.0, -40.0])
def test_a_tone_has_the_loudness_of_the_standard(decibels: float) -> None:
    """ITU-R BS.1770-4: a sine of 997 Hz at full scale in one channel reads -3.01 LKFS."""
    result = columns(sounding(tone(decibels, 6)))
    assert result["integrated"] == pytest.approx(decibels - 3.01, abs=0.1)
    assert result["momentary_max"] == pytest.approx(decibels - 3.01, abs=0.1)
    assert result["sample_peak"] == pytest.approx(decibels, abs=0.1)
    assert result["opening_difference"] == pytest.approx(0, abs=0.05)
    assert result["measured"] == result["opening_measured"] == 1


@pytest.mark.parametrize("step", [5, 10, 15])
def test_the_range_is_that_of_ebu_tech_3342(step: int) -> None:
    """Its minimum requirements: 20 s at one level, 20 s at another; within 1 LU."""
    result = columns(sounding(np.concatenate([tone(-20, 20), tone(-20 - step, 20)])))
    assert result["range"] == pytest.approx(step, abs=1)
    assert result["integrated"] == pytest.approx(-23, abs=3)


def test_silence_between_does_not_count() -> None:
    result = columns(sounding(np.concatenate([tone(-20, 5), np.zeros(20 * RATE), tone(-20, 5)])))
    assert result["integrated"] == pytest.approx(-23, abs=0.4)


def test_a_peak_between_samples_is_found_in_every_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """EBU Tech 3341, case 16: a quarter of the rate at 45 degrees has its peaks 3 dB above its samples."""
    wave = 0.5 * np.sin(np.pi / 2 * np.arange(5 * RATE) + np.pi / 4)
    wave *= np.hanning(len(wave))
    result = columns(sounding(wave))
    assert result["sample_peak"] == pytest.approx(-9.03, abs=0.05)
    assert result["true_peak"] == pytest.approx(-6.02, abs=0.2)
    monkeypatch.setattr("viral.extractors.loudness._CHUNK", 1000)
    assert columns(sounding(wave)) == pytest.approx(result, abs=1e-5)


def test_the_opening_is_told_from_the_rest() -> None:
    result = columns(sounding(np.concatenate([tone(-30, 3), tone(-10, 6)])))
    assert result["opening_integrated"] == pytest.approx(-33, abs=0.1)
    assert result["opening_difference"] == pytest.approx(-20, abs=1)
    assert result["opening_sample_peak"] == pytest.approx(-30, abs=0.1)
    late = columns(sounding(np.concatenate([np.zeros(4 * RATE), tone(-10, 4)])))
    assert (late["measured"], late["opening_measured"], late["opening_difference"]) == (1, 0, 0)


def test_a_short_track_has_peaks_alone() -> None:
    result = columns(sounding(tone(-20, 0.3)))
    assert result["sample_peak"] == pytest.approx(-20, abs=0.1)
    assert (result["integrated"], result["measured"]) == (-70, 0)


def test_on_real_videos(videos: list[Path]) -> None:
    for path in videos[:8]:
        sample = PostInput(decode(str(path), SamplingPlan.from_requests(Loudness().needs), MediaLimits()))
        result = columns(sample)
        assert -60 < result["integrated"] <= result["momentary_max"] < 0
        assert result["sample_peak"] - 0.01 <= result["true_peak"] < 3
        assert result["opening_sample_peak"] <= result["sample_peak"]
        assert columns(sample) == result
