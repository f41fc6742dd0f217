"""Synthetic music: chords, a beat and hiss, at the planned loudness of the opening and of the rest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from viral.demo.plan import PlannedSound
from viral.demo.spec import OPENING_SECONDS

RATE = 24000  # Hz: half the bytes and the work of 48 kHz

_SCALE = np.array([0, 2, 4, 7, 9])  # semitones of the major pentatonic scale
_CROSSFADE_SECONDS = 0.04  # long enough that the change of loudness makes no click

Samples = npt.NDArray[np.float32]


def make_sound(sound: PlannedSound, seconds: float, *, corpus_seed: int) -> Samples:
    """Synthesise a track, mono float32 in [-1, 1] at `RATE`; in a corpus, equal numbers give equal tunes."""
    rng = np.random.default_rng([corpus_seed, 2, sound.number])
    count = round(seconds * RATE)
    parts = [_chords(rng, count), _beat(rng, count), _hiss(rng, count)]
    tune = sum(part * gain for part, gain in zip(parts, rng.uniform((0.5, 0.2, 0.02), (1.0, 1.0, 0.2)), strict=True))
    # tanh rounds off the beats, so that even the loudest clip reaches its planned loudness without clipping.
    return _level(np.tanh(tune), sound)


def loudness_db(samples: Samples) -> float:
    """Compute the root mean square of the samples in dBFS."""
    # The small addend keeps silence finite: -120 dB.
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-12))


def _level(tune: npt.NDArray[np.float64], sound: PlannedSound) -> Samples:
    edge = round(OPENING_SECONDS * RATE)
    gains = [
        10 ** ((target - loudness_db(part.astype(np.float32))) / 20)
        for target, part in ((sound.opening_db, tune[:edge]), (sound.body_db, tune[edge:]))
    ]
    # The opening keeps its loudness to its end; the change follows it.
    envelope = np.interp(np.arange(len(tune)), (edge, edge + _CROSSFADE_SECONDS * RATE), gains)
    return np.clip(tune * envelope, -1, 1).astype(np.float32)


def _chords(rng: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    """Synthesise three voices that change tone together, each with three harmonics and a soft decay."""
    times = np.arange(count) / RATE
    length = rng.uniform(0.3, 0.9)
    step = (times / length).astype(np.int64)
    root = rng.uniform(110, 260)
    tones = rng.integers(0, 10, (int(step[-1]) + 1, 3))
    # Ten tones: five of the scale in each of two octaves.
    semitones = _SCALE[tones % 5] + 12 * (tones // 5)
    frequency = root * 2 ** (semitones / 12)
    phase = np.cumsum(frequency[step], axis=0) * (2 * np.pi / RATE)
    voices = np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase)
    struck = np.exp(-rng.uniform(0.3, 2.0) * (times % length) / length)
    return np.asarray(voices.sum(axis=1) / 4 * struck)


def _beat(rng: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    times = np.arange(count) / RATE
    since = times % (60 / rng.uniform(70, 150))
    return np.asarray(np.sin(2 * np.pi * 60 * since) * np.exp(-14 * since))


def _hiss(rng: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    return rng.standard_normal(count)
