"""Frame-wise audio descriptors as defined by librosa, computed by torchaudio.

librosa itself compiles on first use and writes caches, which fails on a worker with a read-only home.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

RATE = 22050
WINDOW = 2048
HOP = 512
"""librosa's defaults: windows of 93 ms every 23 ms, centred on their times."""

# The next seven are librosa's defaults too.
MFCCS = 20
_BINS = WINDOW // 2 + 1
_MELS = 128
_PITCHES = 12
_ROLL_OFF = 0.85
_FLOOR = 1e-10
_DYNAMIC_RANGE = 80.0
_BLOCK = 4096  # windows at a time, 95 s: bounds memory whatever the length of the track

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Descriptors:
    """Descriptors of F windows: `spectral` (F, 35), `crossings`, `rms` and `onsets` (F,), `times` (F,) in seconds.

    The columns of `spectral` are 12 pitch classes from C, centroid, bandwidth and roll-off in Hz, and 20 MFCCs.
    `crossings` is the fraction of samples at which the wave changes sign.
    """

    spectral: _Array
    crossings: _Array
    rms: _Array
    onsets: _Array
    times: _Array


class Analyser:
    """Computes descriptors of audio at `RATE`. Holds the filter banks."""

    def __init__(self) -> None:
        import torch
        import torchaudio.functional as audio

        self._window = torch.hann_window(WINDOW)
        self._frequencies = torch.linspace(0, RATE / 2, _BINS)
        self._mels = audio.melscale_fbanks(_BINS, 0.0, RATE / 2, _MELS, RATE, norm="slaney", mel_scale="slaney")
        self._pitches = torch.from_numpy(_pitch_filters()).float()
        self._cosines = audio.create_dct(MFCCS, _MELS, norm="ortho")

    def __call__(self, samples: npt.NDArray[np.float32]) -> Descriptors:
        """Return the descriptors of a track, float32 (N,), N at least 1."""
        import torch
        import torchaudio.functional as audio

        # Windows are centred on their times: the first one starts half a window before the track.
        padded = np.pad(samples, WINDOW // 2)
        count = 1 + len(samples) // HOP
        blocks = [self._block(padded, first, min(first + _BLOCK, count)) for first in range(0, count, _BLOCK)]
        spectral, mel = (torch.cat(parts) for parts in zip(*blocks, strict=True))
        decibels = audio.amplitude_to_DB(mel[None], 10.0, _FLOOR, 0.0, _DYNAMIC_RANGE)[0]
        onsets = torch.diff(decibels, dim=0, prepend=decibels[:1]).clamp(min=0).mean(1)
        return Descriptors(
            spectral=torch.cat([spectral, decibels @ self._cosines], dim=1).double().numpy(),
            crossings=_crossings(samples, count),
            rms=_rms(padded, count),
            onsets=onsets.double().numpy(),
            times=np.arange(count) * HOP / RATE,
        )

    def _block(self, padded: npt.NDArray[np.float32], first: int, last: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return pitches, centroid, bandwidth and roll-off (F, 15), and mel power (F, 128), of a range of windows."""
        import torch
        import torchaudio.functional as audio

        block, window = torch.from_numpy(padded[first * HOP : (last - 1) * HOP + WINDOW]), self._window
        magnitude = audio.spectrogram(block, 0, window, WINDOW, HOP, WINDOW, 1.0, normalized=False, center=False).T
        power = magnitude**2
        pitches = power @ self._pitches
        # Each window by its strongest pitch class, so that loudness does not count.
        pitches = pitches / _or_one(pitches.amax(1, keepdim=True))
        weights = magnitude / _or_one(magnitude.sum(1, keepdim=True))
        centroid = weights @ self._frequencies
        spread = (self._frequencies - centroid[:, None]) ** 2
        bandwidth = (weights * spread).sum(1).sqrt()
        cumulative = magnitude.cumsum(1)
        # The first frequency below which 85 % of the magnitude lies.
        roll_off = self._frequencies[(cumulative >= _ROLL_OFF * cumulative[:, -1:]).byte().argmax(1)]
        return torch.cat([pitches, torch.stack([centroid, bandwidth, roll_off], 1)], 1), power @ self._mels


def tempo(onsets: _Array) -> float:
    """Estimate beats per minute from the autocorrelation of the onsets, weighted by a prior; 0 without onsets.

    Source: Ellis 2007, Beat tracking by dynamic programming (log-normal prior around 120, one octave wide).
    """
    centred = onsets - onsets.mean()
    size = 2 * len(centred)
    # Autocorrelation by the Fourier transform, padded to twice the length, without lag 0.
    repeats = np.fft.irfft(np.abs(np.fft.rfft(centred, size)) ** 2, size)[1 : len(centred)]
    if not len(repeats) or repeats.max() <= 0:
        return 0.0
    beats = 60 * RATE / HOP / np.arange(1, len(repeats) + 1)
    prior = np.exp(-0.5 * np.log2(beats / 120) ** 2)
    return float(beats[np.argmax(np.maximum(repeats, 0) * prior)])


def _or_one(totals: torch.Tensor) -> torch.Tensor:
    """Replace zeros by 1, to divide by the totals."""
    return totals + (totals <= _FLOOR)


def _rms(padded: npt.NDArray[np.float32], count: int) -> _Array:
    # Sums of all windows from one running sum; in double precision, since differences of large sums lose digits.
    energy = np.concatenate([[0.0], np.cumsum(padded.astype(np.float64) ** 2)])
    starts = np.arange(count) * HOP
    root: _Array = np.sqrt(np.maximum(energy[starts + WINDOW] - energy[starts], 0) / WINDOW)
    return root


def _crossings(samples: npt.NDArray[np.float32], count: int) -> _Array:
    negative = np.pad(samples, WINDOW // 2, mode="edge") < -_FLOOR  # padding with zeros would add crossings
    changes = np.concatenate([[0], np.cumsum(negative[1:] != negative[:-1])])
    starts = np.arange(count) * HOP
    fraction: _Array = (changes[starts + WINDOW - 1] - changes[starts]) / WINDOW
    return fraction


def _pitch_filters() -> _Array:
    """Return the weight of each frequency for each pitch class, (1025, 12), with A at 440 Hz.

    Gaussian bumps around the pitches, with less weight away from the middle octaves. Source: Ellis 2007, Chroma feature
    analysis and synthesis; the same numbers as `librosa.filters.chroma`.
    """
    frequencies = np.arange(1, WINDOW) * RATE / WINDOW
    octaves = np.log2(frequencies / (440 / 16))
    steps = _PITCHES * np.concatenate([[octaves[0] - 1.5], octaves])
    widths = np.concatenate([np.maximum(np.diff(steps), 1), [1]])
    distance: _Array = steps[:, None] - np.arange(_PITCHES)
    away = (distance + _PITCHES / 2 + 10 * _PITCHES) % _PITCHES - _PITCHES / 2
    bumps = np.exp(-0.5 * (2 * away / widths[:, None]) ** 2)
    bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)
    bumps *= np.exp(-0.5 * ((steps[:, None] / _PITCHES - 5) / 2) ** 2)
    filters: _Array = np.roll(bumps, -3, axis=1)[:_BINS]  # the formula starts at A, the columns at C
    return filters
