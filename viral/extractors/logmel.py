"""A sound as a picture: the log-mel spectrogram on a fixed grid, the input of the `sound` model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from viral.extractors.descriptors import HOP, RATE, WINDOW
from viral.extractors.extractor import Sample, Vector
from viral.extractors.spec import Encode, ExtractorSpec, Resolve
from viral.media.requests import AudioTrack

if TYPE_CHECKING:
    import torch

FLOOR_DB = -100.0
"""What silence is given as, and all that lies behind the end of a short sound."""

_FLOOR = 10 ** (FLOOR_DB / 10)
_BLOCK = 4096
"""Windows at a time: about 95 s of sound, so that memory does not grow with the length of the track."""


@dataclass(frozen=True, kw_only=True)
class LogMel(ExtractorSpec):
    """Mel power in dB, `frames` steps in time of `mels` bands each, one step after the other.

    The grid spans `seconds`. A shorter sound is followed by `FLOOR_DB`. A longer one is squeezed onto the grid: each
    step is the mean power of a longer stretch. So all of a long sound is heard, and the tempo of all others is kept;
    windows out of a long one would have to be stitched where the sound does not go on.

    Absent when there is no sound track; a silent one is `FLOOR_DB` throughout.

    Attributes:
        mels: bands from 0 to 11 kHz.
        frames: steps in time.
        seconds: what the grid spans, unless the sound is longer.
    """

    name: ClassVar[str] = "logmel"
    modality: ClassVar[str] = "audio"
    revision: ClassVar[str] = "1"

    mels: Annotated[int, Field(ge=16, le=128)] = 64
    frames: Annotated[int, Field(ge=16, le=1024)] = 128
    seconds: Annotated[float, Field(ge=1.0, le=600.0)] = 30.0

    @property
    def dim(self) -> int:
        """Bands times steps."""
        return self.mels * self.frames

    @property
    def tokens(self) -> int:
        """One a step in time."""
        return self.frames

    @property
    def needs(self) -> tuple[AudioTrack]:
        """The track at the rate of the other descriptors, so that it is resampled once for both."""
        return (AudioTrack(rate=RATE),)

    def load(self, device: str, resolve: Resolve) -> Encode:
        """Compute the filter bank."""
        from torchaudio.transforms import MelSpectrogram

        spectrogram = MelSpectrogram(RATE, WINDOW, WINDOW, HOP, n_mels=self.mels, center=False)
        return partial(self._encode, spectrogram)

    def _encode(self, spectrogram: Any, sample: Sample) -> Vector | None:
        audio = sample.media.audio(self.needs[0]) if sample.media else None
        if audio is None or not len(audio.samples):
            return None
        return self._on_grid(_power(spectrogram, audio.samples)).reshape(-1)

    def _on_grid(self, power: torch.Tensor) -> Vector:
        """The mean power (windows, mels) of each step, in dB: (frames, mels)."""
        import torch

        count = len(power)
        steps = torch.arange(count) * self.frames // max(count, round(self.seconds * RATE / HOP))
        total = torch.zeros(self.frames, self.mels, dtype=torch.float64).index_add_(0, steps, power.double())
        windows = torch.bincount(steps, minlength=self.frames).clamp_min(1).unsqueeze(1)
        grid: Vector = (10 * (total / windows).clamp_min(_FLOOR).log10()).float().numpy()
        return grid


def _power(spectrogram: Any, samples: npt.NDArray[np.float32]) -> torch.Tensor:
    """Mel power (windows, mels), a window each `HOP` samples, centred on its time."""
    import torch

    padded = torch.from_numpy(np.pad(samples, WINDOW // 2))
    count = 1 + len(samples) // HOP
    blocks = [(first, min(first + _BLOCK, count)) for first in range(0, count, _BLOCK)]
    pieces = [spectrogram(padded[first * HOP : (last - 1) * HOP + WINDOW]).T for first, last in blocks]
    return torch.cat(pieces)
