"""What the networks share that look at single frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from viral.extractors.extractor import Sample
from viral.extractors.network import NetworkSpec
from viral.media.requests import Frames


@dataclass(frozen=True, kw_only=True)
class ImageNetworkSpec(NetworkSpec):
    """A torchvision network of ImageNet over `frames` frames at 224, taken where they are cheap, its features averaged.

    Averaged only: a maximum beside it would double the vector and moves with the number of frames that a short video
    happens to have.
    """

    weights: str = "imagenet"
    frames: Annotated[int, Field(ge=1)] = 8

    modality: ClassVar[str] = "image"
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
