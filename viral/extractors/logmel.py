"""Log-mel spectrogram on a fixed grid, the input of the sound model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from viral.extractors.descriptors import HOP, RATE, WINDOW
from viral.extractors.extractor import PostInput, Vector
from viral.extractors.spec import Encode, ExtractorSpec, Resolver
from viral.media.requests import AudioTrack

if TYPE_CHECKING:
    import torch

FLOOR_DB = -100.0
"""The value of silence, and of the grid after the end of a short track."""

_FLOOR = 10 ** (FLOOR_DB / 10)  # FLOOR_DB as power
_BLOCK = 4096  # windows at a time, 95 s: bounds memory whatever the length of the track


@dataclass(frozen=True, kw_only=True)
class LogMel(ExtractorSpec):
    """Mel power in dB: `frames` time steps of `mels` bands, flattened.

    The grid spans `seconds`. A shorter track is padded with `FLOOR_DB`. For a longer track, the grid spans the whole
    track and each step is the mean power of a longer interval, so only long tracks lose their tempo. Absent without an
    audio track; a silent track is `FLOOR_DB` throughout.

    Attributes:
        mels: bands from 0 to 11 kHz.
        frames: time steps.
        seconds: length of the grid, unless the track is longer.
    """

    name: ClassVar[str] = "logmel"
    modality: ClassVar[str] = "audio"
    revision: ClassVar[str] = "1"

    mels: Annotated[int, Field(ge=16, le=128)] = 64
    frames: Annotated[int, Field(ge=16, le=1024)] = 128
    seconds: Annotated[float, Field(ge=1.0, le=600.0)] = 30.0

    @property
    def dim(self) -> int:
        """Bands times time steps."""
        return self.mels * self.frames

    @property
    def tokens(self) -> int:
        """Number of time steps."""
        return self.frames

    @property
    def needs(self) -> tuple[AudioTrack]:
        """The track at the rate of `acoustics`, so that it is resampled once."""
        return (AudioTrack(rate=RATE),)

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Compute the filter bank."""
        from torchaudio.transforms import MelSpectrogram

        return partial(self._encode, MelSpectrogram(RATE, WINDOW, WINDOW, HOP, n_mels=self.mels, center=False))

    def _encode(self, spectrogram: Any, post: PostInput) -> Vector | None:
        audio = post.media.audio(self.needs[0]) if post.media else None
        if audio is None or not len(audio.samples):
            return None
        return self._on_grid(_power(spectrogram, audio.samples)).reshape(-1)

    def _on_grid(self, power: torch.Tensor) -> Vector:
        """Average the power (windows, mels) per time step, and convert it to dB, (frames, mels)."""
        import torch

        count = len(power)
        # The time step of each window, on a grid that is stretched only for tracks longer than `seconds`.
        steps = torch.arange(count) * self.frames // max(count, round(self.seconds * RATE / HOP))
        # Power is averaged, then converted: the mean of decibels would be that of another quantity.
        total = torch.zeros(self.frames, self.mels, dtype=torch.float64).index_add_(0, steps, power.double())
        windows = torch.bincount(steps, minlength=self.frames).clamp_min(1).unsqueeze(1)
        grid: Vector = (10 * (total / windows).clamp_min(_FLOOR).log10()).float().numpy()
        return grid


def _power(spectrogram: Any, samples: npt.NDArray[np.float32]) -> torch.Tensor:
    """Return the mel power (windows, mels), one window per `HOP` samples, centred on its time."""
    import torch

    padded = torch.from_numpy(np.pad(samples, WINDOW // 2))
    count = 1 + len(samples) // HOP
    blocks = [(first, min(first + _BLOCK, count)) for first in range(0, count, _BLOCK)]
    return torch.cat([spectrogram(padded[first * HOP : (last - 1) * HOP + WINDOW]).T for first, last in blocks])
