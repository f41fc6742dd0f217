"""Music, a voice without words, noise and silence, made here: nobody says anything in them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from viral.extractors.transcription import TRACK

SECONDS, RATE = 8, TRACK.rate
CHORDS = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))  # in semitones
VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (570, 840, 2410))  # formants in Hz

Samples = npt.NDArray[np.float64]


def _tone(frequency: float, seconds: float, decay: float) -> Samples:
    t = np.arange(int(seconds * RATE)) / RATE
    harmonics = [np.sin(2 * np.pi * k * frequency * t) / k for k in range(1, 6)]
    return np.sum(harmonics, axis=0) * np.minimum(1, t / 0.01) * np.exp(-t / decay)


def music() -> Samples:
    """Chords, a melody and drums at 120 beats a minute."""
    rng, beats = np.random.default_rng(0), []
    for beat in range(2 * SECONDS):
        chord = sum(_tone(220 * 2 ** (note / 12), 0.5, 1.2) for note in CHORDS[beat // 4 % 4])
        drum = np.exp(-np.arange(RATE // 2) / 500) * rng.normal(size=RATE // 2)
        beats.append(0.15 * chord + 0.25 * _tone(440 * 2 ** (rng.choice([0, 2, 4, 7, 9]) / 12), 0.5, 0.3) + 0.3 * drum)
    return _loud(np.concatenate(beats))


def humming() -> Samples:
    """Sung vowels with vibrato: a voice to the detector, but no words."""
    from scipy.signal import lfilter

    rng, notes, t = np.random.default_rng(0), [], np.arange(int(0.4 * RATE)) / RATE
    for note in range(int(SECONDS / 0.4)):
        pitch = 200 * 2 ** (rng.choice([0, 2, 4, 5, 7]) / 12) * (1 + 0.03 * np.sin(2 * np.pi * 5.5 * t))
        sound = 2 * (np.cumsum(pitch) / RATE % 1) - 1
        for formant in VOWELS[note % 4]:
            radius, angle = np.exp(-np.pi * 90 / RATE), 2 * np.pi * formant / RATE  # 90 Hz wide
            sound = lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], sound)
        notes.append(_loud(sound) * np.clip(np.minimum(t / 0.05, (0.4 - t) / 0.08), 0, 1))
    return np.concatenate(notes)


def noise() -> Samples:
    return 0.1 * np.random.default_rng(0).normal(size=SECONDS * RATE)


def silence() -> Samples:
    return np.zeros(SECONDS * RATE)


def _loud(samples: Samples) -> Samples:
    return 0.5 * samples / np.abs(samples).max()
