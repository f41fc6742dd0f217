"""Extractors whose network can be fine-tuned end to end on clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from viral.errors import ConfigError
from viral.extractors.extractor import PostInput
from viral.extractors.registry import extractor
from viral.extractors.spec import ExtractorSpec, Resolver
from viral.media.media import Media
from viral.media.requests import Clips

if TYPE_CHECKING:
    import torch

BACKBONES = ("r2plus1d", "vivit", "videomae")
"""The extractors that are `ClipNetwork`s."""


class ClipNetwork(Protocol):
    """A spec that creates its network and prepares clips as input: any `NetworkSpec` that requests only clips."""

    weights: str

    @property
    def needs(self) -> tuple[Clips]:
        """The clips of a post."""

    def pixels(self, post: PostInput) -> npt.NDArray[np.uint8] | None:
        """Return the clips as input of the network, uint8 (C, T, H, W, 3); None if the post has none."""

    def load_network(self, resolve: Resolver) -> torch.nn.Module:
        """Return the backbone with the weights of the spec. Raises WeightsError."""

    def serialize(self, state: Mapping[str, torch.Tensor], resolve: Resolver) -> bytes:
        """Serialise fine-tuned tensors as a file for the `weights` of a spec with the same parameters."""

    def features(self, network: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
        """Compute the features of clips: uint8 (N, T, H, W, 3) to float32 (N, …). Differentiable."""

    def pool(self, features: torch.Tensor) -> torch.Tensor:
        """Pool the features of a post's clips, (C, …), into one vector (dim,)."""


def clip_network(name: str, params: Mapping[str, Any]) -> ExtractorSpec:
    """Return the spec of a backbone.

    Raises:
        ConfigError: the extractor is not one of `BACKBONES`, or a parameter is invalid.
    """
    if name not in BACKBONES:
        raise ConfigError(f"{name!r} cannot be trained on clips: choose from {', '.join(BACKBONES)}")
    return extractor(name, params)


def as_clip_network(spec: ExtractorSpec) -> ClipNetwork:
    """Cast the spec of a backbone to `ClipNetwork`."""
    return cast("ClipNetwork", spec)


def random_clips(spec: ClipNetwork, count: int, seed: int) -> Clips:
    """Request `count` clips of the spec's size at random positions."""
    return replace(spec.needs[0], count=count, choice="random", seed=seed)


def clip_pixels(spec: ClipNetwork, media: Media, request: Clips) -> npt.NDArray[np.uint8] | None:
    """Prepare the clips of `request` as input of the network: uint8 (C, T, H, W, 3)."""
    clips = media.clips(request)
    # Given to the extractor as if they were the clips that it requests itself.
    return None if clips is None else spec.pixels(PostInput(Media(media.facts, {spec.needs[0]: clips})))
