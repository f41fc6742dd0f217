from __future__ import annotations

import numpy as np
import pytest

from viral.extractors.acoustics import ACOUSTIC_COLUMNS, Acoustics
from viral.extractors.descriptors import RATE
from viral.extractors.extractor import PostInput
from viral.extractors.spec import Encode
from viral.media.media import Audio, Facts, Media
from viral.weights.resolve import resolve_local

REQUEST = Acoustics().needs[0]


@pytest.fixture(scope="module")
def encode() -> Encode:
    return Acoustics().load("cpu", resolve_local)


def sounding(samples: np.ndarray) -> PostInput:
    return PostInput(Media(Facts(), {REQUEST: Audio(samples.astype(np.float32), RATE)}))


def columns(encode: Encode, samples: np.ndarray) -> dict[str, float]:
    vector = encode(sounding(samples))
    assert vector is not None
    assert vector.shape == (Acoustics.dim,)
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()
    return dict(zip(ACOUSTIC_COLUMNS, vector.tolist(), strict=True))


def test_absent_without_a_sound_track(encode: Encode) -> None:
    assert encode(PostInput(None)) is None
    assert encode(PostInput(Media(Facts()))) is None
    assert encode(sounding(np.zeros(0))) is None


@pytest.mark.parametrize("seconds", [0.001, 0.05, 2.0, 10.0])
def test_silence_is_silent_and_finite(encode: Encode, seconds: float) -> None:
    result = columns(encode, np.zeros(max(1, int(seconds * RATE))))
    assert result["silence_share"] == result["opening_silence_share"] == 1
    assert result["loudness_mean"] == result["loudness_max"] == pytest.approx(-100)
    assert result["tempo"] == 0


def test_a_pure_tone_is_where_it_is(encode: Encode) -> None:
    result = columns(encode, 0.5 * np.sin(2 * np.pi * 440 * np.arange(5 * RATE) / RATE))
    pitches = {name: value for name, value in result.items() if name.startswith("chroma_") and name.endswith("_mean")}
    assert max(pitches, key=lambda name: pitches[name]) == "chroma_A_mean"
    assert result["centroid_mean"] == pytest.approx(440, rel=0.1)
    assert result["zero_crossings_mean"] == pytest.approx(2 * 440 / RATE, rel=0.05)
    assert result["loudness_max"] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.1)


def test_the_opening_is_told_from_the_rest(encode: Encode) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 9 * RATE)
    result = columns(encode, np.concatenate([np.zeros(4 * RATE), noise]))
    assert result["opening_silence_share"] == 1
    assert result["silence_share"] == pytest.approx(4 / 13, abs=0.02)
    assert result["opening_loudness_difference"] < -40


def test_real_sound(encode: Encode, samples: list[PostInput]) -> None:
    vectors = [vector for sample in samples if (vector := encode(sample)) is not None]
    assert vectors
    for vector in vectors:
        result = dict(zip(ACOUSTIC_COLUMNS, vector.tolist(), strict=True))
        assert -80 < result["loudness_mean"] < 0
        assert 300 < result["centroid_mean"] < RATE / 2
        assert 0 <= result["silence_share"] < 1
