"""Image features: ResNet-50 over key frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from viral.extractors.image_network import ImageNetworkSpec


@dataclass(frozen=True, kw_only=True)
class ResNet50(ImageNetworkSpec):
    """Pooled features of ResNet-50, averaged over frames.

    Source: He et al. 2016, arXiv 1512.03385; torchvision's ImageNet weights.
    """

    name: ClassVar[str] = "resnet50"
    dim: ClassVar[int] = 2048
    cpu_batch_size: ClassVar[int] = 4  # what it computes for more does not fit in a core's cache
    revision: ClassVar[str] = "2"
    pretrained: ClassVar[dict[str, str]] = {"imagenet": "resnet50-imagenet"}
