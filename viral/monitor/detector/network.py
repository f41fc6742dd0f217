"""The network of a target: an image backbone, or that of faces."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from viral.monitor.detector.backbone import Backbone, Features
from viral.monitor.detector.face_network import FACES, FaceNetwork
from viral.weights.catalogue import Resolver


class WindowNetwork(Protocol):
    """Describes windows, or faces, of frames."""

    def windows(self, frames: npt.NDArray[np.uint8]) -> Features:
        """Features of all windows of frames uint8 (T, H, W, 3): float32 (T, R, D)."""


def open_network(name: str, resolve: Resolver, weights: str) -> WindowNetwork:
    """Load the network that a target names. Raises ConfigError, WeightsError."""
    return FaceNetwork(resolve, weights) if name == FACES else Backbone(name, resolve, weights)
