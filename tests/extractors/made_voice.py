"""A made voice: vowels between bursts of noise, which the voice detector takes for speech."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

RATE = 16000
FORMANTS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
"""Resonances of a mouth, in hertz (Peterson and Barney 1952)."""
WIDTHS = (80, 90, 120)  # of the resonances, in hertz

Samples = npt.NDArray[np.float32]


def voice(seconds: float, pitch: float = 130, seed: int = 0) -> Samples:
    """Syllables without sense, float32 (N,) at `RATE`; `pitch` in hertz."""
    rng = np.random.default_rng(seed)
    parts: list[npt.NDArray[np.float64]] = []
    while sum(map(len, parts)) < seconds * RATE:
        parts.append(_syllable(rng, pitch * rng.uniform(0.85, 1.2)))
    samples = 0.5 * np.concatenate(parts)[: round(seconds * RATE)]
    return (samples + rng.normal(0, 0.001, len(samples))).astype(np.float32)


def sentences(*seconds: float, silence: float = 2.0) -> Samples:
    """Sentences of these lengths, with a silence between them."""
    pause = np.zeros(round(silence * RATE), np.float32)
    parts = [part for number, length in enumerate(seconds) for part in (pause, voice(length, seed=number))]
    return np.concatenate(parts[1:])


def _syllable(rng: np.random.Generator, pitch: float) -> npt.NDArray[np.float64]:
    """A burst of noise, then a vowel of falling pitch, and now and then a short pause."""
    times = np.arange(round(rng.uniform(0.1, 0.22) * RATE)) / RATE
    seconds = times[-1]
    tone = pitch * (1 + 0.05 * np.sin(2 * np.pi * 5 * times) - 0.15 * times / seconds)
    pulses = np.diff(np.floor(np.cumsum(tone) / RATE), prepend=0)
    vowel = lfilter([1], [1, -0.95], pulses) + rng.normal(0, 0.01, len(times))
    for hertz, width in zip(FORMANTS[rng.choice(list(FORMANTS))], WIDTHS, strict=True):
        radius = np.exp(-np.pi * width / RATE)
        middle = 2 * radius * np.cos(2 * np.pi * hertz / RATE)
        vowel = lfilter([1 - middle + radius**2], [1, -middle, radius**2], vowel)
    vowel *= np.minimum(1, np.minimum(times / 0.03, (seconds - times) / 0.05))
    size = round(rng.uniform(0.03, 0.08) * RATE)
    burst = 0.15 * np.diff(rng.normal(size=size + 1)) * np.hanning(size)
    return np.concatenate([burst, vowel / np.abs(vowel).max(), np.zeros(round(0.08 * RATE * (rng.random() < 0.2)))])
