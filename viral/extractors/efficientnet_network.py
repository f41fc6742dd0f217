"""The network of EfficientNet-Lite0 without batch norms; its parameters are named as in the published file.

Its classes are defined in functions, so that importing this module does not import torch.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Expansion of the channels, output channels, repeats, kernel size and stride of the first, by group of blocks.
_BLOCKS = (
    *((1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 40, 2, 5, 2), (6, 80, 3, 3, 2)),
    *((6, 112, 3, 5, 1), (6, 192, 4, 5, 2), (6, 320, 1, 3, 1)),
)
_STEM = 32  # channels


def efficientnet_lite0(features: int) -> torch.nn.Module:
    """Create the network with random weights: images (N, 3, 224, 224) to `features` per image (N, features)."""
    network: torch.nn.Module = _network_class()(features)
    return network


@cache
def _convolution_class() -> Any:
    from torch import nn

    class Convolution(nn.Conv2d):
        """Convolution with TensorFlow's padding: with stride 2 and an even size, one more on the right and below."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            """Pad as TensorFlow does, then convolve: (N, C, H, W) to (N, outputs, H / stride, W / stride)."""
            size, stride, height = self.kernel_size[0], self.stride[0], images.shape[-1]
            total = max(size - (height % stride or stride), 0)
            if total % 2 == 0:
                # The same on all sides: the convolution pads by itself, without a copy of the images.
                return nn.functional.conv2d(images, self.weight, self.bias, stride, total // 2, 1, self.groups)
            padding = (total // 2, total - total // 2) * 2
            return nn.functional.conv2d(
                nn.functional.pad(images, padding), self.weight, self.bias, stride, 0, 1, self.groups
            )

    return Convolution


@cache
def _block_class() -> Any:
    from torch import nn

    convolution = _convolution_class()

    class InvertedResidual(nn.Module):
        """Expansion, depthwise convolution, projection."""

        def __init__(self, inputs: int, expansion: int, outputs: int, size: int, stride: int) -> None:
            super().__init__()
            wide = inputs * expansion
            self._expand_conv = convolution(inputs, wide, 1) if expansion > 1 else None
            self._depthwise_conv = convolution(wide, wide, size, stride, groups=wide)
            self._project_conv = convolution(wide, outputs, 1)
            self.residual = stride == 1 and inputs == outputs

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            """Apply the block, and add its input where both have one shape."""
            wide = images if self._expand_conv is None else self._expand_conv(images).clamp_(0, 6)
            narrow: torch.Tensor = self._project_conv(self._depthwise_conv(wide).clamp_(0, 6))
            return narrow.add_(images) if self.residual else narrow

    return InvertedResidual


@cache
def _network_class() -> Any:
    from torch import nn

    convolution, make_block = _convolution_class(), _block_class()

    class Network(nn.Module):
        """The stem, the blocks, the last convolution, the mean over positions."""

        def __init__(self, features: int) -> None:
            super().__init__()
            self._conv_stem = convolution(3, _STEM, 3, 2)
            blocks, inputs = [], _STEM
            for expansion, outputs, repeats, size, stride in _BLOCKS:
                for repeat in range(repeats):
                    blocks.append(make_block(inputs, expansion, outputs, size, 1 if repeat else stride))
                    inputs = outputs
            self._blocks = nn.ModuleList(blocks)
            self._conv_head = convolution(inputs, features, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            """Map images (N, 3, H, W) to features (N, features)."""
            images = self._conv_stem(images).clamp_(0, 6)
            for block in self._blocks:
                images = block(images)
            features: torch.Tensor = self._conv_head(images).clamp_(0, 6).mean((2, 3))
            return features

    return Network
