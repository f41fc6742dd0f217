"""Architectures of networks over streams, imported on demand."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from viral.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from viral.models.fusion_config import FusionConfig

NETWORKS: Mapping[str, str] = {
    "gated": "viral.models.fusion:Fusion",
    "weighted": "viral.models.weighted:WeightedFusion",
    "concat": "viral.models.concat:Concat",
    "attention": "viral.models.attention:Attention",
    "sound": "viral.models.sound:SoundNetwork",
    "linear": "viral.models.linear:LinearNetwork",
}
"""`module:class` by `FusionConfig.architecture`; built from the config, called as `Fusion.forward`.

`gated` suits few posts and modalities that are often missing; `weighted` has one weight per modality; `concat` learns
interactions of modalities; `attention` is for streams of several tokens and large data sets. `sound` takes one
spectrogram, `linear` the pooled features of a video network.
"""

FUSIONS = ("gated", "weighted", "concat", "attention")
"""Architectures for any streams."""


def network(config: FusionConfig) -> nn.Module:
    """Build the network of `config.architecture`, with random weights.

    Raises:
        ConfigError: the architecture does not exist, or the config does not fit it.
    """
    check_architecture(config.architecture)
    module, _, attribute = NETWORKS[config.architecture].partition(":")
    built: nn.Module = getattr(import_module(module), attribute)(config)
    return built


def check_architecture(name: str) -> None:
    """Raise ConfigError if no architecture has this name."""
    if name not in NETWORKS:
        raise ConfigError(f"no architecture is named {name!r}: choose from {', '.join(NETWORKS)}")
