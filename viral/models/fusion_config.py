"""Architecture of networks over streams; imports no torch, because planning a training must not load it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from viral.datasets.streams import Stream
from viral.errors import ConfigError

QUANTILES = (0.05, 0.5, 0.95)  # the median and the ends of a 90 % interval
RATES = ("likes_rate", "comments_rate", "shares_rate")
LOGIT, MEDIAN, BELOW, ABOVE, FIRST_RATE = 0, 1, 2, 3, 4  # columns of the last layer
OUTPUTS = FIRST_RATE + len(RATES)
LOGITS_PER_UNIT = 1.5  # roughly the growth of the log odds of being viral per standard deviation of the target
GATED = ("gated", "weighted")  # architectures that predict a weighted sum, whose weights can be fixed
INPUT_NORM = 3.0  # length to which typical standardised vectors of any dimension are scaled
SCORE_GAIN = 30.0  # Adam moves all parameters equally fast: one score must keep up with thousands of other weights
BINS = 16  # of new models: each holds a sixteenth of the training values
MEMBERS = 8  # of new models: the gain of more is small, and their time grows
MAX_DEVIATION = 8.0  # standard deviations, far outside real data: an outlier must not decide a score


@dataclass(frozen=True)
class FusionConfig:
    """Architecture of a network over streams.

    Args:
        streams: the inputs, in order.
        architecture: a key of `networks.NETWORKS`.
        width: size of the common space that all streams are projected to.
        dropout: dropout rate in training.
        modality_dropout: probability of hiding a present stream in training.
        gates: fixed weights of the streams, by name; None: learned.
        bins: of the piecewise-linear encoding of streams of numbers; 0: none, as in models of earlier versions.
        members: networks that share nearly all weights and are averaged; 1 in models of earlier versions.
    """

    streams: tuple[Stream, ...]
    architecture: str = "gated"
    width: int = 32  # small, for few posts
    dropout: float = 0.3  # strong, for few posts
    modality_dropout: float = 0.25  # hides one of four streams on average
    gates: Mapping[str, float] | None = None
    bins: int = 0
    members: int = 1

    @property
    def version(self) -> int:
        """2 for an ensemble over encoded numbers; 1 for earlier models, which score as they did, to the last bit."""
        return 2 if self.bins or self.members > 1 else 1


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
