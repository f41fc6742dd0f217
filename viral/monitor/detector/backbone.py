"""Frozen image backbone: features of many windows of a frame from one pass over it.

Small logos are lost in features of whole frames, and a pass per tile would cost as many passes as tiles. Convolutional
networks compute the same features at every position: so a frame takes one pass, and windows of two sizes are pooled
from its feature maps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from viral.errors import ConfigError
from viral.extractors.network import NetworkSpec, inference
from viral.extractors.registry import extractor
from viral.weights.catalogue import Resolver

if TYPE_CHECKING:
    import torch

Features = npt.NDArray[np.float32]

SHORT_SIDE = 288
"""Of the frames that a detector sees: a logo of an eighth of the width then has 36 pixels, enough for two cells."""
_WINDOWS = ((3, 2), (6, 2))  # size and step in cells of 16 pixels: a sixth and a third of a frame's short side
_BATCH = 4  # frames per pass; more gain nothing on a core, and each takes some 50 MB
_LAYERS = {
    # Stride 16, which keeps the place and shape of small things, and the last stage, which says what they are.
    "efficientnet_lite0": ("_blocks.10", "_blocks.15"),
    "resnet50": ("layer3", "layer4"),
    "vgg16": ("features.22", "features.30"),
}
BACKBONES = tuple(_LAYERS)


@dataclass(frozen=True)
class WindowGrid:
    """Windows of a frame: `boxes` float32 (R, 4), left, top, right, bottom as fractions of width and height."""

    boxes: npt.NDArray[np.float32]


class Backbone:
    """A frozen network. Not thread-safe.

    Args:
        name: one of `BACKBONES`.
        resolve: locates the weights.
        weights: a name that the extractor knows, or `random`.

    Raises:
        ConfigError: there is no such backbone. WeightsError: its weights are missing.
    """

    def __init__(self, name: str, resolve: Resolver, weights: str = "imagenet") -> None:
        if name not in _LAYERS:
            raise ConfigError(f"there is no backbone {name!r}: choose from {', '.join(BACKBONES)}")
        self.name, self.weights = name, weights
        self._spec = cast("NetworkSpec", extractor(name, {"weights": weights}))
        self._network = self._spec.load_network(resolve).eval().requires_grad_(False)
        self._maps: list[torch.Tensor] = []
        for layer in _LAYERS[name]:
            self._network.get_submodule(layer).register_forward_hook(self._keep)

    def windows(self, frames: npt.NDArray[np.uint8]) -> Features:
        """Features of all windows of frames uint8 (T, H, W, 3): float32 (T, R, D)."""
        import torch

        parts = []
        with inference("cpu", "float32"):
            for batch in torch.split(torch.from_numpy(np.ascontiguousarray(frames)), _BATCH):
                with self._collected() as maps:
                    # Values clipped to even sizes: the padding of the network is defined for those.
                    self._spec.features(self._network, batch[:, : batch.shape[1] & ~31, : batch.shape[2] & ~31])
                    parts.append(_pool(maps))
        return cast("Features", torch.cat(parts).numpy())

    def grid(self, height: int, width: int) -> WindowGrid:
        """The windows of frames of a size, in the order of `windows`."""
        rows, columns = (height & ~31) // 16, (width & ~31) // 16
        boxes = [
            (x / columns, y / rows, (x + size) / columns, (y + size) / rows)
            for size, step in _WINDOWS
            for y in range(0, rows - size + 1, step)
            for x in range(0, columns - size + 1, step)
        ]
        return WindowGrid(np.array(boxes, np.float32))

    def _keep(self, _module: Any, _inputs: Any, output: torch.Tensor) -> None:
        self._maps.append(output)

    @contextmanager
    def _collected(self) -> Iterator[list[torch.Tensor]]:
        self._maps = []
        yield self._maps
        self._maps = []


def _pool(maps: list[torch.Tensor]) -> torch.Tensor:
    """Pool windows (N, R, D) of feature maps (N, C, h, w), the first of which has the stride of the cells."""
    import torch
    from torch.nn import functional

    fine, *coarse = maps
    scaled = [functional.interpolate(part, size=fine.shape[2:], mode="nearest") for part in coarse]
    # Each stage has its own range: without this, that with the larger values would decide alone.
    stacked = torch.cat([part / part.std((1, 2, 3), keepdim=True).clamp_min(1e-6) for part in (fine, *scaled)], 1)
    pooled = [functional.avg_pool2d(stacked, size, step).flatten(2) for size, step in _WINDOWS]
    return torch.cat(pooled, 2).transpose(1, 2).contiguous()
