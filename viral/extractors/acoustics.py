"""Classical audio descriptors: timbre, pitch, loudness and pace, of the whole track and its opening."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from viral.extractors.descriptors import MFCCS, RATE, Analyser, Descriptors, tempo
from viral.extractors.extractor import OPENING_SECONDS, PostInput, Vector
from viral.extractors.spec import Encode, ExtractorSpec, Resolver
from viral.media.requests import AudioTrack

_RMS_FLOOR = 1e-5  # -100 dB, so that silence is finite
_SILENT_DB = -60.0  # loudness below this counts as silence

_DESCRIPTORS = (
    *(f"chroma_{pitch}" for pitch in ("C", "Cs", "D", "Ds", "E", "F", "Fs", "G", "Gs", "A", "As", "B")),
    "centroid",
    "bandwidth",
    "roll_off",
    *(f"mfcc_{number}" for number in range(MFCCS)),
    "zero_crossings",
    "onset",
    "loudness",
)
_SPAN = (
    *(f"{name}_{statistic}" for statistic in ("mean", "std") for name in _DESCRIPTORS),
    "loudness_max",
    "silence_share",
)

ACOUSTIC_COLUMNS = (*_SPAN, *(f"opening_{name}" for name in _SPAN), "opening_loudness_difference", "tempo")
"""The columns of the vector. Frequencies are in Hz, loudness in dBFS, tempo in beats per minute, the rest has no unit.
`opening_` columns cover the first 3 s; the difference is the mean loudness of the opening minus that of the track."""


@dataclass(frozen=True, kw_only=True)
class Acoustics(ExtractorSpec):
    """Classical audio descriptors, as `ACOUSTIC_COLUMNS`; absent without an audio track. Silence has finite values."""

    name: ClassVar[str] = "acoustics"
    modality: ClassVar[str] = "audio"
    dim: ClassVar[int] = len(ACOUSTIC_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = ACOUSTIC_COLUMNS
    revision: ClassVar[str] = "1"

    @property
    def needs(self) -> tuple[AudioTrack]:
        """The track at 22,050 Hz, the rate of the descriptors."""
        return (AudioTrack(rate=RATE),)

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Compute the filter banks."""
        return partial(self._encode, Analyser())

    def _encode(self, analyse: Analyser, post: PostInput) -> Vector | None:
        audio = post.media.audio(self.needs[0]) if post.media else None
        if audio is None or not len(audio.samples):
            return None
        return _pool(analyse(audio.samples))


def _pool(frames: Descriptors) -> Vector:
    loudness = 20 * np.log10(np.maximum(frames.rms, _RMS_FLOOR))
    rows = np.column_stack([frames.spectral, frames.crossings, frames.onsets, loudness])
    # Never empty: the first window is at time 0.
    opening = rows[frames.times < OPENING_SECONDS]
    # The last column is the loudness.
    difference = opening[:, -1].mean() - rows[:, -1].mean()
    return np.array([*_span(rows), *_span(opening), difference, tempo(frames.onsets)], dtype=np.float32)


def _span(rows: npt.NDArray[np.float64]) -> list[float]:
    loudness = rows[:, -1]
    return [*rows.mean(0), *rows.std(0), loudness.max(), (loudness < _SILENT_DB).mean()]
