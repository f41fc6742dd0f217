"""Image features: VGG-16 over key frames, as in older systems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from viral.extractors.image_network import ImageNetworkSpec


@dataclass(frozen=True, kw_only=True)
class VGG16(ImageNetworkSpec):
    """Last hidden layer of VGG-16, averaged over frames; costs four times as much as ResNet-50.

    Source: Simonyan and Zisserman 2015, arXiv 1409.1556; torchvision's ImageNet weights.
    """

    name: ClassVar[str] = "vgg16"
    dim: ClassVar[int] = 4096
    revision: ClassVar[str] = "1"
    pretrained: ClassVar[dict[str, str]] = {"imagenet": "vgg16-imagenet"}
    head: ClassVar[str] = "classifier.6"
