"""Shape of a network over streams. Imports no torch: planning a training must not load it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from viral.datasets.streams import Stream
from viral.errors import ConfigError

QUANTILES = (0.05, 0.5, 0.95)  # the ends of a 90 % interval around the median
RATES = ("likes_rate", "comments_rate", "shares_rate")
LOGIT, MEDIAN, BELOW, ABOVE, FIRST_RATE = 0, 1, 2, 3, 4  # columns of the last layer
OUTPUTS = FIRST_RATE + len(RATES)
LOGITS_PER_UNIT = 1.5  # rough growth of the log odds of being viral per standard deviation of the target
GATED = ("gated", "weighted")  # architectures whose prediction is a weighted sum: their weights can be fixed
LENGTH = 3.0  # of a typical standardised vector, the same for streams of any dimension


@dataclass(frozen=True)
class FusionConfig:
    """Shape of a network over streams.

    Args:
        streams: the inputs, in order.
        architecture: one of `networks.NETWORKS`.
        width: the size of the common space that all streams are projected to.
        dropout: of the projections, in training.
        modality_dropout: the probability of hiding a present stream, in training.
        gates: fixed weights of the streams, by name (system A's weighted sum); None: learned.
    """

    streams: tuple[Stream, ...]
    architecture: str = "gated"
    width: int = 32  # small, for few posts
    dropout: float = 0.3  # strong, for few posts
    modality_dropout: float = 0.25  # of four streams, one is hidden on average
    gates: Mapping[str, float] | None = None


def check_gates(config: FusionConfig) -> None:
    """Raise ConfigError if `config.gates` cannot be used."""
    if config.gates is None:
        return
    if config.architecture not in GATED:
        raise ConfigError(f"fixed gates are for the architectures {' and '.join(GATED)}, not for {config.architecture}")
    names = [stream.name for stream in config.streams]
    weights = config.gates.values()
    usable = all(math.isfinite(weight) and weight >= 0 for weight in weights) and any(weights)
    if sorted(config.gates) != sorted(names) or not usable:
        raise ConfigError(f"fixed gates need a weight of 0 or more, not all 0, for each of {', '.join(names)}")
