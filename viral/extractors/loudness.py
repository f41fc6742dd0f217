"""How loud a video is, as broadcasters measure it: EBU R128, over the whole track and its opening."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from viral.extractors.descriptors import RATE
from viral.extractors.extractor import Sample, Vector
from viral.extractors.spec import Encode, ExtractorSpec, Resolve
from viral.media.requests import AudioTrack

QUIETEST_LUFS = -70.0
"""The absolute gate of R128: what is under it counts as silence, and silence is given as this."""
QUIETEST_PEAK = 1e-5
"""-100 dB, what silence is given as."""
_OPENING_SECONDS = 3.0
_BLOCK_SECONDS = 0.4
_RANGE_SECONDS = 3.0
_OVERSAMPLING = 4
_PIECE = 1 << 18
_MARGIN = 64
"""Samples on either side of a piece, more than the oversampling filter reaches."""

_SPAN = ("integrated", "momentary_max", "true_peak", "sample_peak", "measured")
LOUDNESS_COLUMNS = (*_SPAN, "range", *(f"opening_{name}" for name in _SPAN), "opening_difference")
"""The columns of the vector. `integrated` and `momentary_max` (of 0.4 s) in LUFS, at least -70; peaks in dB of full
scale, at least -100; `measured` is 1 where there is something above the gate and at least 0.4 s of it, else the two
loudnesses are at their floor. `range` (LRA) in LU, 0 under 3 s. `opening_` is the first 3 s; the difference is its
integrated loudness less the whole's, 0 where one of them is not measured."""

_Samples = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Loudness(ExtractorSpec):
    """Integrated loudness, loudness range and peaks, as `LOUDNESS_COLUMNS`.

    Of the mono mix, played by one speaker: a file whose two channels are alike is 3 LU louder by its own R128 figure.
    At 22,050 Hz the loudness of real videos is within 0.3 LU of that at 48,000, the true peak within 0.9 dB. Absent
    when there is no sound track. Source: EBU R 128 and Tech 3342, ITU-R BS.1770-4; pyloudnorm.
    """

    name: ClassVar[str] = "loudness"
    modality: ClassVar[str] = "audio"
    dim: ClassVar[int] = len(LOUDNESS_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = LOUDNESS_COLUMNS
    revision: ClassVar[str] = "1"

    @property
    def needs(self) -> tuple[AudioTrack]:
        """The track at the rate that `acoustics` asks for too."""
        return (AudioTrack(rate=RATE),)

    def load(self, device: str, resolve: Resolve) -> Encode:
        """There is nothing to load."""
        return self._encode

    def _encode(self, sample: Sample) -> Vector | None:
        audio = sample.media.audio(self.needs[0]) if sample.media else None
        if audio is None or not len(audio.samples):
            return None
        samples = audio.samples.astype(np.float64)
        whole, opening = _span(samples), _span(samples[: round(_OPENING_SECONDS * RATE)])
        both = whole["measured"] and opening["measured"]
        difference = opening["integrated"] - whole["integrated"] if both else 0.0
        return np.array([*whole.values(), _range(samples), *opening.values(), difference], dtype=np.float32)


def _span(samples: _Samples) -> dict[str, float]:
    integrated, momentary = _loudness(samples)
    peaks = (_true_peak(samples), float(np.abs(samples).max()))
    decibels = [20 * np.log10(max(peak, QUIETEST_PEAK)) for peak in peaks]
    measured = float(integrated > QUIETEST_LUFS)
    return dict(zip(_SPAN, (integrated, momentary, *decibels, measured), strict=True))


def _loudness(samples: _Samples) -> tuple[float, float]:
    """The integrated loudness, and the greatest of 0.4 s."""
    from pyloudnorm import Meter

    if len(samples) < _BLOCK_SECONDS * RATE:
        return QUIETEST_LUFS, QUIETEST_LUFS
    meter = Meter(RATE, block_size=_BLOCK_SECONDS)
    integrated = meter.integrated_loudness(samples)
    return max(QUIETEST_LUFS, float(integrated)), max(QUIETEST_LUFS, float(max(meter.blockwise_loudness)))


def _range(samples: _Samples) -> float:
    from pyloudnorm import Meter

    if len(samples) < _RANGE_SECONDS * RATE:
        return 0.0
    return float(np.nan_to_num(Meter(RATE).loudness_range(samples)))  # NaN where all is below the gate


def _true_peak(samples: _Samples) -> float:
    """The greatest of the wave between the samples too, piece by piece: a whole long track would not fit."""
    from scipy.signal import resample_poly

    greatest = 0.0
    for start in range(0, len(samples), _PIECE):
        first = max(0, start - _MARGIN)
        wave = resample_poly(samples[first : start + _PIECE + _MARGIN], _OVERSAMPLING, 1)
        inner = wave[(start - first) * _OVERSAMPLING :][: _PIECE * _OVERSAMPLING]
        greatest = max(greatest, float(np.abs(inner).max()))
    return greatest
