"""Motion features: R(2+1)D-18 over clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from viral.extractors.extractor import PostInput
from viral.extractors.network import NetworkSpec
from viral.media.requests import Clips

if TYPE_CHECKING:
    import torch

_HEIGHT, _WIDTH = 128 / 112, 171 / 112  # of the resized frame, as multiples of the side of the crop
_FRAMES_PER_SECOND = 15  # as torchvision trained it (references/video_classification, --frame-rate 15)


@dataclass(frozen=True, kw_only=True)
class R2Plus1D(NetworkSpec):
    """Pooled features of R(2+1)D-18, averaged over `clips` clips that begin at key frames.

    A clip has 16 frames, resized to 128x171 and cropped to the centre 112x112, as in torchvision's Kinetics-400
    transform. The weights were trained with these; other `frames` or `size` suit them less.
    Source: Tran et al. 2018, arXiv 1711.11248; torchvision's Kinetics-400 weights.
    """

    weights: str = "kinetics400"
    clips: Annotated[int, Field(ge=1)] = 3
    frames: Annotated[int, Field(ge=2)] = 16  # as the weights were trained
    size: Annotated[int, Field(ge=32)] = 112  # as the weights were trained

    name: ClassVar[str] = "r2plus1d"
    modality: ClassVar[str] = "video"
    dim: ClassVar[int] = 512
    cpu_batch_size: ClassVar[int] = 1  # what it computes for more does not fit in a core's cache
    foldable: ClassVar[bool] = True
    revision: ClassVar[str] = "2"
    pretrained: ClassVar[dict[str, str]] = {"kinetics400": "r2plus1d-kinetics400"}
    mean: ClassVar[tuple[float, float, float]] = (0.43216, 0.394666, 0.37645)
    std: ClassVar[tuple[float, float, float]] = (0.22803, 0.22145, 0.216989)

    @property
    def needs(self) -> tuple[Clips]:
        """Clips of about a second, at 128x171."""
        # Stretched, as torchvision's training did, and cropped afterwards.
        size, step = self._resized, 1 / _FRAMES_PER_SECOND
        return (Clips(count=self.clips, frames=self.frames, step=step, size=size, choice="key", fit="stretch"),)

    def pixels(self, post: PostInput) -> npt.NDArray[np.uint8] | None:
        """Centre crops of the clips, uint8 (C, T, 112, 112, 3)."""
        batch = post.media.clips(self.needs[0]) if post.media else None
        if batch is None:
            return None
        top, left = (round((side - self.size) / 2) for side in self._resized)
        return np.ascontiguousarray(batch.data[:, :, top : top + self.size, left : left + self.size])

    @property
    def _resized(self) -> tuple[int, int]:
        return round(self.size * _HEIGHT), round(self.size * _WIDTH)

    def network(self) -> torch.nn.Module:
        """Create R(2+1)D-18."""
        from torchvision.models.video import r2plus1d_18

        network: torch.nn.Module = r2plus1d_18(weights=None)
        return network
