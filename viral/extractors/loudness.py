"""Loudness by EBU R128, of the whole track and its opening."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from viral.extractors.descriptors import RATE
from viral.extractors.extractor import OPENING_SECONDS, PostInput, Vector
from viral.extractors.spec import Encode, ExtractorSpec, Resolver
from viral.media.requests import AudioTrack

QUIETEST_LUFS = -70.0  # the absolute gate of R128, below which audio counts as silence; the value of silence
QUIETEST_PEAK = 1e-5  # -100 dB, the peak of silence
_BLOCK_SECONDS = 0.4  # the gating block of BS.1770, also the window of momentary loudness
_RANGE_SECONDS = 3.0  # the window of the loudness range, Tech 3342
_OVERSAMPLING = 4  # as BS.1770 measures the true peak at 48 kHz
_CHUNK = 1 << 18  # samples that are oversampled at a time: 12 s
_MARGIN = 64  # samples on either side of a chunk, more than the oversampling filter reaches

_SPAN = ("integrated", "momentary_max", "true_peak", "sample_peak", "measured")
LOUDNESS_COLUMNS = (*_SPAN, "range", *(f"opening_{name}" for name in _SPAN), "opening_difference")
"""The columns of the vector. `integrated` and `momentary_max` (0.4 s) are in LUFS, at least -70; peaks in dBFS, at
least -100. `measured` is 1 if the audio lasts 0.4 s and exceeds the gate; otherwise both loudnesses are -70.
`range` (LRA) is in LU, 0 for a track under 3 s. `opening_` columns cover the first 3 s; the difference is the
integrated loudness of the opening minus that of the track, 0 unless both are measured."""

_Samples = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Loudness(ExtractorSpec):
    """Integrated loudness, loudness range and peaks, as `LOUDNESS_COLUMNS`.

    Measured on a mono mix; the R128 loudness of a file with two equal channels is 3 LU higher. At 22,050 Hz the
    loudness of real videos is within 0.3 LU of that at 48,000 Hz, the true peak within 0.9 dB. Absent without an audio
    track. Source: EBU R 128 and Tech 3342, ITU-R BS.1770-4; pyloudnorm.
    """

    name: ClassVar[str] = "loudness"
    modality: ClassVar[str] = "audio"
    dim: ClassVar[int] = len(LOUDNESS_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = LOUDNESS_COLUMNS
    revision: ClassVar[str] = "1"

    @property
    def needs(self) -> tuple[AudioTrack]:
        """The track at the rate of `acoustics`, so that it is resampled once."""
        return (AudioTrack(rate=RATE),)

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Return the encoder; there is nothing to load."""
        return self._encode

    def _encode(self, post: PostInput) -> Vector | None:
        audio = post.media.audio(self.needs[0]) if post.media else None
        if audio is None or not len(audio.samples):
            return None
        samples = audio.samples.astype(np.float64)
        track, opening = _span(samples), _span(samples[: round(OPENING_SECONDS * RATE)])
        both = track["measured"] and opening["measured"]
        difference = opening["integrated"] - track["integrated"] if both else 0.0
        return np.array([*track.values(), _range(samples), *opening.values(), difference], dtype=np.float32)


def _span(samples: _Samples) -> dict[str, float]:
    integrated, momentary = _loudness(samples)
    # The true peak may lie between two samples, above both.
    peaks = (_true_peak(samples), float(np.abs(samples).max()))
    decibels = [20 * np.log10(max(peak, QUIETEST_PEAK)) for peak in peaks]
    measured = float(integrated > QUIETEST_LUFS)
    return dict(zip(_SPAN, (integrated, momentary, *decibels, measured), strict=True))


def _loudness(samples: _Samples) -> tuple[float, float]:
    """Return the integrated loudness and the maximum momentary loudness."""
    from pyloudnorm import Meter

    if len(samples) < _BLOCK_SECONDS * RATE:
        return QUIETEST_LUFS, QUIETEST_LUFS
    meter = Meter(RATE, block_size=_BLOCK_SECONDS)
    integrated = meter.integrated_loudness(samples)
    # `integrated_loudness` has left the loudness of each block in the meter.
    return max(QUIETEST_LUFS, float(integrated)), max(QUIETEST_LUFS, float(max(meter.blockwise_loudness)))


def _range(samples: _Samples) -> float:
    from pyloudnorm import Meter

    if len(samples) < _RANGE_SECONDS * RATE:
        return 0.0
    return float(np.nan_to_num(Meter(RATE).loudness_range(samples)))  # NaN if everything is below the gate


def _true_peak(samples: _Samples) -> float:
    """Return the peak of the oversampled wave, computed in chunks to bound memory."""
    from scipy.signal import resample_poly

    peak = 0.0
    for start in range(0, len(samples), _CHUNK):
        first = max(0, start - _MARGIN)
        wave = resample_poly(samples[first : start + _CHUNK + _MARGIN], _OVERSAMPLING, 1)
        # The margins belong to the neighbouring chunks; at the inner edges the filter would miss samples.
        inner = wave[(start - first) * _OVERSAMPLING :][: _CHUNK * _OVERSAMPLING]
        peak = max(peak, float(np.abs(inner).max()))
    return peak
