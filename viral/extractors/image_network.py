"""Base class of extractors with a network for single frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from viral.extractors.extractor import PostInput
from viral.extractors.network import NetworkSpec
from viral.media.requests import Frames

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class ImageNetworkSpec(NetworkSpec):
    """Mean features of a torchvision ImageNet network over `frames` key frames, which are cheap to decode.

    A maximum would double the vector and depend on the number of frames, which is smaller in short videos.
    """

    weights: str = "imagenet"
    frames: Annotated[int, Field(ge=1)] = 8  # the key frames that `craft` decodes too

    modality: ClassVar[str] = "image"
    foldable: ClassVar[bool] = True
    # Of the ImageNet training images, by which torchvision's weights expect to be normalised.
    mean: ClassVar[tuple[float, float, float]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, float, float]] = (0.229, 0.224, 0.225)

    @property
    def needs(self) -> tuple[Frames]:
        """Key frames, cropped at their centre to 224 x 224 pixels."""
        return (Frames(count=self.frames, size=(224, 224), choice="key", fit="crop"),)

    def pixels(self, post: PostInput) -> npt.NDArray[np.uint8] | None:
        """Key frames, uint8 (T, 224, 224, 3)."""
        batch = post.media.frames(self.needs[0]) if post.media else None
        return batch.data if batch else None

    def network(self) -> torch.nn.Module:
        """Create the torchvision network of this name."""
        from torchvision.models import get_model

        network: torch.nn.Module = get_model(self.name, weights=None)
        return network
