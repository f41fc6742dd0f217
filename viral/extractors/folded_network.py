"""Convolutional networks prepared for inference on a CPU: the same vectors up to rounding, from less work.

The fused kernels of oneDNN, which `torch.compile` calls, are no faster with a batch that fits in a core's cache; and it
needs a C++ compiler, and time at each start.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.fx.experimental.optimization import fuse as fold_batch_norms

# CPUs multiply bfloat16 in tiles of 32 channels: a convolution with 921 channels takes longer than one with 928.
_TILE = 32


class FoldedNetwork(nn.Module):
    """A copy of a network, with its batch norms folded into the convolutions before them.

    Its weights are stored in the precision of the computation, and convolutions of clips run in two dimensions.

    Args:
        network: in eval mode and traceable by `torch.fx`. Its convolutions of clips are not dilated, and have kernels
            of (1, h, w) or (t, 1, 1).
        dtype: of the weights, float32 or bfloat16.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        layers = fold_batch_norms(network)
        assert isinstance(layers, GraphModule)
        if dtype == torch.bfloat16:
            _pad_channels(layers)
        for name, module in list(layers.named_modules()):
            if isinstance(module, nn.Conv3d):
                layers.set_submodule(name, _FlatConvolution(module))
        layers.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]  # of torch
        self.dtype, self.layers = dtype, layers

    def forward(self, pixels: Tensor) -> Tensor:
        """Apply to normalised images (N, 3, H, W) or clips (N, 3, T, H, W), best in channels-last memory."""
        features: Tensor = self.layers(pixels.to(self.dtype))
        return features


class _FlatConvolution(nn.Module):
    """A convolution of clips (N, C, T, H, W) that runs in two dimensions.

    A kernel of (1, h, w) runs over frames as images, one of (t, 1, 1) over images of T rows and H·W columns: the same
    memory in another shape, if it is channels-last. In float32, PyTorch takes twice as long in three dimensions.
    """

    def __init__(self, convolution: nn.Conv3d) -> None:
        super().__init__()
        self.over_time = convolution.kernel_size[0] > 1
        axes, weight = slice(0, 2), convolution.weight[..., 0]
        if not self.over_time:
            axes, weight = slice(1, 3), convolution.weight[:, :, 0]
        self.weight, self.bias = nn.Parameter(weight, requires_grad=False), convolution.bias
        self.frame_step = 1 if self.over_time else convolution.stride[0]
        self.stride, self.padding = convolution.stride[axes], cast("tuple[int, ...]", convolution.padding)[axes]

    def forward(self, clips: Tensor) -> Tensor:
        """Convolve clips (N, C, T, H, W); the result has the shape that `nn.Conv3d` would give."""
        clips = clips[:, :, :: self.frame_step]
        batch, channels, time, height, width = clips.shape
        shape: tuple[int, ...] = (batch, time, height * width) if self.over_time else (batch * time, height, width)
        images = clips.permute(0, 2, 3, 4, 1).reshape(*shape, channels).permute(0, 3, 1, 2)
        images = nn.functional.conv2d(images, self.weight, self.bias, self.stride, self.padding)
        _, channels, rows, columns = images.shape
        shape = (batch, rows, height, width) if self.over_time else (batch, time, rows, columns)
        return images.permute(0, 2, 3, 1).reshape(*shape, channels).permute(0, 4, 1, 2, 3)


def _pad_channels(layers: GraphModule) -> None:
    """Add channels of zeros between two convolutions, up to a multiple of `_TILE`."""
    for node in layers.graph.nodes:
        user = _only_user(node)
        # A ReLU between the two keeps zeros zero; any other layer might not.
        if user and isinstance(_module(layers, user), nn.ReLU):
            user = _only_user(user)
        first, second = _convolution(layers, node), _convolution(layers, user)
        if first and second and first.groups == second.groups == 1:
            for parameter, axis in ((first.weight, 0), (first.bias, 0), (second.weight, 1)):
                if parameter is not None:
                    _pad(parameter, axis, -first.out_channels % _TILE)


def _pad(parameter: Tensor, axis: int, count: int) -> None:
    shape = [count if i == axis else length for i, length in enumerate(parameter.shape)]
    # Zeros change no result: the added channels are 0, and nothing reads them.
    parameter.data = torch.cat([parameter.data, parameter.new_zeros(shape)], axis)


def _convolution(layers: GraphModule, node: Node | None) -> nn.Conv2d | nn.Conv3d | None:
    module = _module(layers, node)
    return module if isinstance(module, nn.Conv2d | nn.Conv3d) else None


def _module(layers: GraphModule, node: Node | None) -> nn.Module | None:
    return layers.get_submodule(str(node.target)) if node and node.op == "call_module" else None


def _only_user(node: Node) -> Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None
