"""How a video sounds: timbre, pitch, loudness and pace, over the whole track and its opening."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from viral.extractors.descriptors import MFCCS, RATE, Analyser, Descriptors, tempo
from viral.extractors.extractor import Sample, Vector
from viral.extractors.spec import Encode, ExtractorSpec, Resolve
from viral.media.requests import AudioTrack

_OPENING_SECONDS = 3.0
_QUIETEST = 1e-5
"""-100 dB: what silence is given as, so that every value is finite."""
_SILENT_DB = -60.0

_DESCRIBED = (
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
    *(f"{name}_{pooled}" for pooled in ("mean", "std") for name in _DESCRIBED),
    "loudness_max",
    "silence_share",
)

ACOUSTIC_COLUMNS = (
    *_SPAN,
    *(f"opening_{name}" for name in _SPAN),
    "opening_loudness_difference",
    "tempo",
)
"""The columns of the vector. Frequencies in Hz, loudness in dB of full scale, tempo in beats a minute, the rest
without unit; `opening_` is the first 3 s, the difference is the opening's mean loudness less the whole's."""


@dataclass(frozen=True, kw_only=True)
class Acoustics(ExtractorSpec):
    """Mean and standard deviation of the classical descriptors of sound, as `ACOUSTIC_COLUMNS`.

    Absent when there is no sound track; a silent one has finite values.
    """

    name: ClassVar[str] = "acoustics"
    modality: ClassVar[str] = "audio"
    dim: ClassVar[int] = len(ACOUSTIC_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = ACOUSTIC_COLUMNS
    revision: ClassVar[str] = "1"

    @property
    def needs(self) -> tuple[AudioTrack]:
        """The track at 22,050 Hz, for which the descriptors are defined."""
        return (AudioTrack(rate=RATE),)

    def load(self, device: str, resolve: Resolve) -> Encode:
        """Compute the filter banks."""
        return partial(self._encode, Analyser())

    def _encode(self, analyse: Analyser, sample: Sample) -> Vector | None:
        audio = sample.media.audio(self.needs[0]) if sample.media else None
        if audio is None or not len(audio.samples):
            return None
        return _pooled(analyse(audio.samples))


def _pooled(found: Descriptors) -> Vector:
    loudness = 20 * np.log10(np.maximum(found.rms, _QUIETEST))
    rows = np.column_stack([found.spectral, found.crossings, found.onsets, loudness])
    opening = rows[found.times < _OPENING_SECONDS]
    difference = opening[:, -1].mean() - rows[:, -1].mean()
    values = [*_span(rows), *_span(opening), difference, tempo(found.onsets)]
    return np.array(values, dtype=np.float32)


def _span(rows: npt.NDArray[np.float64]) -> list[float]:
    loudness = rows[:, -1]
    return [*rows.mean(0), *rows.std(0), loudness.max(), (loudness < _SILENT_DB).mean()]
