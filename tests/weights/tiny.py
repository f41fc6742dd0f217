"""A minimal extractor with weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from viral.extractors.extractor import PostInput, Vector
from viral.extractors.spec import Encode, ExtractorSpec, Resolver
from viral.weights.resolve import find_weights, read_state_dict, weights_identity


@dataclass(frozen=True, kw_only=True)
class Tiny(ExtractorSpec):
    """Returns the sum of its weights for every post."""

    weights: str = "file"

    name: ClassVar[str] = "tiny"
    modality: ClassVar[str] = "text"
    dim: ClassVar[int] = 1
    revision: ClassVar[str] = "1"
    pretrained: ClassVar[dict[str, str]] = {"file": "tiny-file", "model": "tiny-model"}

    def identity(self, resolve: Resolver) -> dict[str, Any]:
        return self.params() | {"weights": weights_identity(self.weights, self.pretrained, resolve)}

    def check(self, resolve: Resolver) -> None:
        self._path(resolve)

    def load(self, device: str, resolve: Resolver) -> Encode:
        path = self._path(resolve)
        state = read_state_dict(path / "parts/model.safetensors" if path.is_dir() else path)
        total = np.array([sum(float(tensor.sum()) for tensor in state.values())], np.float32)

        def encode(sample: PostInput) -> Vector:
            return total

        return encode

    def _path(self, resolve: Resolver) -> Path:
        if self.weights in self.pretrained:
            return find_weights(self.pretrained[self.weights], resolve)
        return resolve(self.weights)
