"""The heads alone, linear in the vectors of one stream: what a network that was trained end to end ends in."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from viral.errors import ConfigError
from viral.models.fusion import Prediction, predict
from viral.models.fusion_config import ABOVE, BELOW, LOGIT, OUTPUTS, FusionConfig

_SPREAD = math.log(math.expm1(1.645))  # softplus of it: where the 5 % and 95 % quantiles of a standard normal lie


class Linear(nn.Module):
    """Dropout and a linear layer. A mean of vectors says the same as the mean of what each says.

    It begins as the constant predictor: the mean of the target and 90 % about it, and the share of virals once
    `start_at` is told it. A head that is not trained stays that.

    Raises:
        ConfigError: the config has not exactly one stream.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        if len(config.streams) != 1:
            raise ConfigError(f"the architecture linear takes one stream, not {len(config.streams)}")
        (self.stream,) = config.streams
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(self.stream.dim, OUTPUTS)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        nn.init.constant_(self.head.bias[BELOW : ABOVE + 1], _SPREAD)

    def start_at(self, viral: float, rates: Mapping[int, float]) -> None:
        """Begin at the training split's share of virals, and at its mean of each log rate by its output."""
        with torch.no_grad():
            self.head.bias[LOGIT] = math.log(max(viral, 1e-3) / max(1 - viral, 1e-3))
            for output, rate in rates.items():
                self.head.bias[output] = rate

    def forward(self, vectors: Mapping[str, Tensor], present: Tensor) -> Prediction:
        """Predict, as `Fusion.forward` does; one stream weighs all."""
        return predict(self.head(self.dropout(vectors[self.stream.name])), present.float())
