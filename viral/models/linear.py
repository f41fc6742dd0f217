"""Linear network on one stream: the heads of a network that is trained end to end."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from viral.errors import ConfigError
from viral.models.fusion import NetworkOutput, decode_heads
from viral.models.fusion_config import ABOVE, BELOW, LOGIT, OUTPUTS, FusionConfig

_SPREAD = math.log(math.expm1(1.645))  # softplus(_SPREAD) = 1.645: the 95 % quantile of a standard normal
_MIN_FREQUENCY = 1e-3  # of viral and of other posts: keeps the initial log odds finite


class LinearNetwork(nn.Module):
    """Dropout and a linear layer: its output for a mean of vectors is the mean of their outputs.

    It starts as a constant predictor of the mean target with a 90 % interval and, after `init_biases`, of the frequency
    of viral posts. Heads that are not trained stay constant.

    Raises:
        ConfigError: the config does not have exactly one stream.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        if len(config.streams) != 1:
            raise ConfigError(f"the architecture linear takes one stream, not {len(config.streams)}")
        (self.stream,) = config.streams
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(self.stream.dim, OUTPUTS)
        # Zero weights: before training, every post gets the mean target.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        nn.init.constant_(self.head.bias[BELOW : ABOVE + 1], _SPREAD)

    def init_biases(self, viral: float, rates: Mapping[int, float]) -> None:
        """Set the biases to the training split's frequency of viral posts and mean log rates, by output index."""
        with torch.no_grad():
            self.head.bias[LOGIT] = math.log(max(viral, _MIN_FREQUENCY) / max(1 - viral, _MIN_FREQUENCY))
            for output, rate in rates.items():
                self.head.bias[output] = rate

    def forward(self, vectors: Mapping[str, Tensor], present: Tensor) -> NetworkOutput:
        """Predict, as `Fusion.forward`; the contribution of the only stream is 1."""
        return decode_heads(self.head(self.dropout(vectors[self.stream.name])), present.float())
