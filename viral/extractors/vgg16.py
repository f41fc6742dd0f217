"""Image features of older systems: VGG-16 over key frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from viral.extractors.image_network import ImageNetworkSpec

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class VGG16(ImageNetworkSpec):
    """Last hidden layer of VGG-16, averaged over frames; four times the cost of ResNet-50.

    Source: Simonyan and Zisserman 2015, arXiv 1409.1556; torchvision's ImageNet weights.
    """

    name: ClassVar[str] = "vgg16"
    dim: ClassVar[int] = 4096
    revision: ClassVar[str] = "1"
    pretrained: ClassVar[dict[str, str]] = {"imagenet": "vgg16-imagenet"}
    head: ClassVar[str] = "classifier.6"

    def network(self) -> torch.nn.Module:
        """VGG-16."""
        from torchvision.models import vgg16

        network: torch.nn.Module = vgg16(weights=None)
        return network
