"""The log-mel grid: where a sound is on it, in time and in pitch."""

from __future__ import annotations

import numpy as np
import pytest

from tests.media.streams import write_tone
from viral.extractors.descriptors import RATE
from viral.extractors.extractor import PostInput, Vector
from viral.extractors.feature_set import FeatureSet
from viral.extractors.logmel import FLOOR_DB, LogMel
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import Audio, Facts, Media
from viral.media.plan import SamplingPlan
from viral.weights.resolve import resolve_local

SMALL = LogMel(mels=32, frames=30, seconds=30.0)  # a step a second


def heard(samples: np.ndarray, spec: LogMel = SMALL) -> Vector | None:
    media = Media(Facts(), {spec.needs[0]: Audio(samples.astype(np.float32), RATE)})
    return spec.load("cpu", resolve_local)(PostInput(media))


def grid(samples: np.ndarray, spec: LogMel = SMALL) -> np.ndarray:
    vector = heard(samples, spec)
    assert vector is not None and vector.dtype == np.float32 and np.isfinite(vector).all()
    assert vector.shape == (spec.dim,)
    return vector.reshape(spec.frames, spec.mels)


def tone(hertz: float, seconds: float, height: float = 0.5) -> np.ndarray:
    return height * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)


def test_absent_without_a_sound_track() -> None:
    encode = SMALL.load("cpu", resolve_local)
    assert encode(PostInput(None)) is None
    assert encode(PostInput(Media(Facts()))) is None
    assert heard(np.zeros(0)) is None


@pytest.mark.parametrize("seconds", [0.001, 2.0, 40.0])
def test_silence_is_the_floor(seconds: float) -> None:
    assert (grid(np.zeros(max(1, int(seconds * RATE)))) == FLOOR_DB).all()


def test_a_short_sound_keeps_its_tempo_and_is_followed_by_silence() -> None:
    result = grid(tone(1000, 6.0))
    assert (result[:6].max(axis=1) > 30).all()
    assert (result[7:] == FLOOR_DB).all()


def test_a_long_sound_is_squeezed_and_heard_to_its_end() -> None:
    result = grid(np.concatenate([tone(300, 45.0), tone(5000, 15.0)]))
    loudest = result.argmax(axis=1)
    assert (loudest[:22] == loudest[0]).all()
    assert (loudest[23:] == loudest[-1]).all()
    assert loudest[-1] > loudest[0] + 5


def test_pitch_and_loudness_are_where_they_are() -> None:
    bands = [int(grid(tone(hertz, 2.0))[0].argmax()) for hertz in (200, 800, 3000, 9000)]
    assert bands == sorted(set(bands))
    quiet, loud = (grid(tone(800, 2.0, height))[0].max() for height in (0.05, 0.5))
    assert loud - quiet == pytest.approx(20, abs=0.1)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * RATE)
    whole = grid(noise)
    monkeypatch.setattr("viral.extractors.logmel._BLOCK", 50)
    np.testing.assert_allclose(grid(noise), whole, rtol=0, atol=1e-3)


def test_the_grid_is_part_of_what_a_set_is() -> None:
    one, other = (
        FeatureSet.from_dict({"name": "s", "extractors": [{"name": "logmel", "params": {"seconds": seconds}}]})
        for seconds in (30.0, 15.0)
    )
    assert one.fingerprint != other.fingerprint
    assert FeatureSet.named("sound").dims == {"logmel": 64 * 128}
    assert FeatureSet.named("sound").specs[0].tokens == 128


def test_a_file_of_sound_alone_and_a_video(tmp_path, videos) -> None:
    for path in (write_tone(tmp_path / "alone.mp3"), videos[0]):
        media = decode(str(path), SamplingPlan.from_requests(SMALL.needs), MediaLimits())
        vector = SMALL.load("cpu", resolve_local)(PostInput(media))
        assert vector is not None
        steps = (vector.reshape(30, 32) > FLOOR_DB).any(axis=1).sum()
        assert media.facts.seen_seconds is not None
        assert steps == pytest.approx(min(30, media.facts.seen_seconds), abs=1.5)
