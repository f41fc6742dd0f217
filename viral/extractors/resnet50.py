"""What is seen in the pictures: a ResNet-50 over frames of the whole video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from viral.extractors.extractor import Sample
from viral.extractors.network import NetworkSpec
from viral.media.requests import Frames

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class ResNet50(NetworkSpec):
    """The pooled features of ResNet-50, averaged over `frames` frames at 224, taken where they are cheap.

    Averaged only: a maximum beside it would double the vector and moves with the number of frames that a short video
    happens to have. Source: He et al. 2016, arXiv 1512.03385; torchvision's ImageNet weights.
    """

    weights: str = "imagenet"
    frames: Annotated[int, Field(ge=1)] = 8

    name: ClassVar[str] = "resnet50"
    modality: ClassVar[str] = "image"
    dim: ClassVar[int] = 2048
    revision: ClassVar[str] = "2"
    known: ClassVar[dict[str, str]] = {"imagenet": "resnet50-imagenet"}
    mean: ClassVar[tuple[float, float, float]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, float, float]] = (0.229, 0.224, 0.225)

    @property
    def needs(self) -> tuple[Frames]:
        """Key frames, the centre square at 224."""
        return (Frames(count=self.frames, size=(224, 224), choice="key", fit="crop"),)

    def pixels(self, sample: Sample) -> npt.NDArray[np.uint8] | None:
        """The frames, uint8 (T, 224, 224, 3)."""
        batch = sample.media.frames(self.needs[0]) if sample.media else None
        return batch.data if batch else None

    def network(self) -> torch.nn.Module:
        """ResNet-50."""
        from torchvision.models import resnet50

        network: torch.nn.Module = resnet50(weights=None)
        return network
