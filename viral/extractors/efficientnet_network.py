"""The network of EfficientNet-Lite0 without batch norms; its parameters are named as in the published file."""

from __future__ import annotations

from torch import Tensor, nn

# Expansion of the channels, output channels, repeats, kernel size and stride of the first, by group of blocks.
_BLOCKS = (
    *((1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 40, 2, 5, 2), (6, 80, 3, 3, 2)),
    *((6, 112, 3, 5, 1), (6, 192, 4, 5, 2), (6, 320, 1, 3, 1)),
)
_STEM = 32  # channels


class SamePaddedConvolution(nn.Conv2d):
    """Convolution with TensorFlow's padding: with stride 2 and an even size, one more on the right and below."""

    def forward(self, images: Tensor) -> Tensor:
        """Convolve square images (N, C, size, size)."""
        size, stride, height = self.kernel_size[0], self.stride[0], images.shape[-1]
        total = max(size - (height % stride or stride), 0)
        if total % 2 == 0:
            # The same on all sides: the convolution pads by itself, without a copy of the images.
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
        self._expand_conv = SamePaddedConvolution(inputs, wide, 1) if expansion > 1 else None
        self._depthwise_conv = SamePaddedConvolution(wide, wide, size, stride, groups=wide)
        self._project_conv = SamePaddedConvolution(wide, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, inputs, size, size) to (N, outputs, size / stride, size / stride)."""
        wide = images if self._expand_conv is None else self._expand_conv(images).clamp_(0, 6)
        narrow: Tensor = self._project_conv(self._depthwise_conv(wide).clamp_(0, 6))
        return narrow.add_(images) if self.residual else narrow


class EfficientNetLite0Network(nn.Module):
    """The stem, the blocks, the last convolution to `features` channels, the mean over positions."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self._conv_stem = SamePaddedConvolution(3, _STEM, 3, 2)
        blocks, inputs = [], _STEM
        for expansion, outputs, repeats, size, stride in _BLOCKS:
            for repeat in range(repeats):
                blocks.append(InvertedResidual(inputs, expansion, outputs, size, 1 if repeat else stride))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SamePaddedConvolution(inputs, features, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Pool normalised images (N, 3, 224, 224) to features (N, features)."""
        images = self._conv_stem(images).clamp_(0, 6)
        for block in self._blocks:
            images = block(images)
        features: Tensor = self._conv_head(images).clamp_(0, 6).mean((2, 3))
        return features
