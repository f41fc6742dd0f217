"""Against librosa, whose definitions these are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from viral.extractors import descriptors
from viral.extractors.descriptors import HOP, RATE, WINDOW, Analyser, Descriptors, tempo
from viral.extractors.extractor import PostInput
from viral.media.requests import AudioTrack

librosa = pytest.importorskip("librosa")
Samples = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def tracks(samples: list[PostInput]) -> list[Samples]:
    """The sound of the real videos."""
    result = [sample.media.audio(AudioTrack(rate=RATE)) for sample in samples if sample.media]
    return [audio.samples for audio in result if audio]


@pytest.fixture(scope="module")
def described(tracks: list[Samples]) -> list[Descriptors]:
    analyse = Analyser()
    return [analyse(track) for track in tracks]


@pytest.mark.slow
def test_real_sound_is_described_as_librosa_describes_it(tracks: list[Samples], described: list[Descriptors]) -> None:
    assert tracks
    for track, result in zip(tracks, described, strict=True):
        magnitude = np.abs(librosa.stft(track, n_fft=WINDOW, hop_length=HOP))
        chroma = librosa.feature.chroma_stft(S=magnitude**2, sr=RATE, tuning=0.0)
        centroid = librosa.feature.spectral_centroid(S=magnitude, sr=RATE)[0]
        bandwidth = librosa.feature.spectral_bandwidth(S=magnitude, sr=RATE)[0]
        roll_off = librosa.feature.spectral_rolloff(S=magnitude, sr=RATE)[0]
        mfcc = librosa.feature.mfcc(y=track, sr=RATE)
        np.testing.assert_allclose(result.spectral[:, :12], chroma.T, atol=1e-5)
        np.testing.assert_allclose(result.spectral[:, 12], centroid, atol=0.02)  # Hz
        np.testing.assert_allclose(result.spectral[:, 13], bandwidth, atol=0.02)
        # Where two frequencies hold the threshold to the last bit, the neighbouring bin may win.
        np.testing.assert_allclose(result.spectral[:, 14], roll_off, atol=RATE / WINDOW * 1.01)
        assert np.mean(np.abs(result.spectral[:, 14] - roll_off) > 1) < 0.01
        np.testing.assert_allclose(result.spectral[:, 15:], mfcc.T, atol=0.005)
        np.testing.assert_allclose(result.crossings, librosa.feature.zero_crossing_rate(track)[0], atol=1e-9)
        np.testing.assert_allclose(result.rms, librosa.feature.rms(y=track, pad_mode="constant")[0], atol=1e-6)
        onsets = librosa.onset.onset_strength(y=track, sr=RATE, center=False)
        np.testing.assert_allclose(result.onsets, onsets, atol=1e-3)


def test_pitch_filters_are_those_of_librosa() -> None:
    expected = librosa.filters.chroma(sr=RATE, n_fft=WINDOW, tuning=0.0)
    np.testing.assert_allclose(descriptors._pitch_filters(), expected.T, atol=1e-6)


def test_a_long_track_gives_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch, tracks: list[Samples]) -> None:
    whole = Analyser()(tracks[0])
    monkeypatch.setattr(descriptors, "_BLOCK", 7)
    blocks = Analyser()(tracks[0])
    np.testing.assert_allclose(blocks.spectral, whole.spectral, atol=0.01)


@pytest.mark.parametrize("beats", [75, 100, 120, 150])
def test_tempo_of_clicks(beats: int) -> None:
    track = np.zeros(RATE * 20, dtype=np.float32)
    for start in np.arange(0, len(track) - 200, RATE * 60 // beats):
        track[start : start + 200] = np.hanning(200)
    assert tempo(Analyser()(track).onsets) == pytest.approx(beats, rel=0.04)


@pytest.mark.parametrize("length", [1, 100, 511, 512, 2048])
def test_silence_and_snippets_are_finite(length: int) -> None:
    for track in (np.zeros(length, np.float32), np.full(length, 0.5, np.float32)):
        result = Analyser()(track)
        assert len(result.times) == 1 + length // HOP == len(result.rms) == len(result.spectral)
        for values in (result.spectral, result.crossings, result.rms, result.onsets):
            assert np.isfinite(values).all()
        assert np.isfinite(tempo(result.onsets))
