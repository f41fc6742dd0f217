"""The shape of a network over streams. Without torch: what only plans or reads for a training must not load it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from viral.datasets.streams import Stream
from viral.errors import ConfigError

QUANTILES = (0.05, 0.5, 0.95)
RATES = ("likes_rate", "comments_rate", "shares_rate")
LOGIT, MEDIAN, BELOW, ABOVE, FIRST_RATE = 0, 1, 2, 3, 4
OUTPUTS = FIRST_RATE + len(RATES)
LOGITS_A_UNIT = 1.5  # by how much the log odds of being viral grow with a standard deviation of the target, about
GATED = ("gated", "weighted")  # the architectures whose prediction is a weighted sum, so that weights can be given
LENGTH = 3.0  # of a standardised vector of a typical post


@dataclass(frozen=True)
class FusionConfig:
    """The shape of a network over streams.

    Args:
        streams: the inputs, in order.
        architecture: one of `networks.NETWORKS`.
        width: the size of the space that all streams are projected to.
        dropout: of the projections, in training.
        modality_dropout: the probability, in training, that a stream which is there is hidden.
        gates: fixed weights of the streams, by name (system A's weighted sum); None: learned.
    """

    streams: tuple[Stream, ...]
    architecture: str = "gated"
    width: int = 32
    dropout: float = 0.3
    modality_dropout: float = 0.25
    gates: Mapping[str, float] | None = None


def check_gates(config: FusionConfig) -> None:
    """Make sure that fixed gates are usable, before anything is begun. Raises ConfigError."""
    if config.gates is None:
        return
    if config.architecture not in GATED:
        raise ConfigError(f"fixed gates are for the architectures {' and '.join(GATED)}, not for {config.architecture}")
    names = [stream.name for stream in config.streams]
    weights = config.gates.values()
    usable = all(math.isfinite(weight) and weight >= 0 for weight in weights) and any(weights)
    if sorted(config.gates) != sorted(names) or not usable:
        raise ConfigError(f"fixed gates need a weight of 0 or more, not all 0, for each of {', '.join(names)}")
