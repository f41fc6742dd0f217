"""The extractors whose network can be trained on clips, end to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from viral.errors import ConfigError
from viral.extractors.extractor import Sample
from viral.extractors.registry import extractor
from viral.extractors.spec import ExtractorSpec, Resolve
from viral.media.media import Media
from viral.media.requests import Clips

if TYPE_CHECKING:
    import torch

BACKBONES = ("r2plus1d", "vivit", "videomae")
"""Extractors that are `ClipNetwork`s."""


class ClipNetwork(Protocol):
    """A spec that can make its network and turn the clips it asks for into what the network sees.

    `NetworkSpec` is one wherever it asks for clips alone.
    """

    weights: str

    @property
    def needs(self) -> tuple[Clips]:
        """The clips that a post is judged by."""

    def pixels(self, sample: Sample) -> npt.NDArray[np.uint8] | None:
        """Those clips as the network sees them: uint8 (C, T, H, W, 3), or None where there are none."""

    def filled(self, resolve: Resolve) -> torch.nn.Module:
        """The network without its head, its weights as the spec says. Raises WeightsError."""

    def stored(self, state: Mapping[str, torch.Tensor], resolve: Resolve) -> bytes:
        """The tensors of `filled`, trained, as a file that `weights` may name in another spec with these parameters."""

    def features(self, network: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 (N, T, H, W, 3) to float32 (N, …); gradients pass."""

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        """One vector (dim,) from the features of a post's clips (C, …)."""


def clip_network(name: str, params: Mapping[str, Any]) -> ExtractorSpec:
    """The spec of a backbone.

    Raises:
        ConfigError: it is none, or it does not take these parameters.
    """
    if name not in BACKBONES:
        raise ConfigError(f"{name!r} cannot be trained on clips: choose from {', '.join(BACKBONES)}")
    return extractor(name, params)


def as_clip_network(spec: ExtractorSpec) -> ClipNetwork:
    """The same spec, as what it is beside an extractor."""
    return cast("ClipNetwork", spec)


def random_clips(spec: ClipNetwork, count: int, seed: int) -> Clips:
    """`count` clips as the spec's own, elsewhere in the video each time."""
    return replace(spec.needs[0], count=count, choice="random", seed=seed)


def seen(spec: ClipNetwork, media: Media, request: Clips) -> npt.NDArray[np.uint8] | None:
    """The clips that answered `request`, as the network sees the spec's own: uint8 (C, T, H, W, 3)."""
    clips = media.clips(request)
    return None if clips is None else spec.pixels(Sample(Media(media.facts, {spec.needs[0]: clips})))
