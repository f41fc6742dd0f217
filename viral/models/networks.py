"""Networks over the streams of a feature table, by architecture. One is imported when it is asked for."""

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
    "weighted": "viral.models.weighted:Weighted",
    "concat": "viral.models.concat:Concat",
    "attention": "viral.models.attention:Attention",
    "sound": "viral.models.sound:Sound",
    "linear": "viral.models.linear:Linear",
}
"""`module:class` by `FusionConfig.architecture`. `gated` is for few posts and for modalities that are often missing;
`weighted` says one weight a modality for all posts; `concat` learns how modalities act together; `attention` is for
streams of several tokens, and for much data. `sound` looks at one spectrogram, `linear` at what a video network makes.

Each is made from the config alone, and is called as `Fusion.forward` is, with the same answer.
"""

FUSIONS = ("gated", "weighted", "concat", "attention")
"""Those that take any streams."""


def network(config: FusionConfig) -> nn.Module:
    """The network of that architecture, its weights drawn at random.

    Raises:
        ConfigError: there is no such architecture, or the config does not fit it.
    """
    check_architecture(config.architecture)
    module, _, attribute = NETWORKS[config.architecture].partition(":")
    made: nn.Module = getattr(import_module(module), attribute)(config)
    return made


def check_architecture(name: str) -> None:
    """Make sure that there is such an architecture. Raises ConfigError."""
    if name not in NETWORKS:
        raise ConfigError(f"no architecture is named {name!r}: choose from {', '.join(NETWORKS)}")
