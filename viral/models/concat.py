"""Concatenation of all modalities into one multi-layer perceptron (system B)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from viral.models.fusion import Prediction, Standardised, hide
from viral.models.fusion_config import LENGTH, FusionConfig, check_gates
from viral.models.readout import Readout

HIDDEN = 4  # times the width


class Concat(nn.Module):
    """Standardised vectors side by side with presence flags, then one hidden layer and the heads.

    The hidden layer's weights are kept a block a stream: their sum is the product with the concatenation, and what
    each stream gives stays apart.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        check_gates(config)
        self.config = config
        hidden = HIDDEN * config.width
        self.projections = nn.ModuleDict(
            {stream.name: Block(stream.dim, hidden, config.dropout) for stream in config.streams}
        )
        self.readout = Readout(len(config.streams), hidden, config.dropout)

    def forward(self, vectors: Mapping[str, Tensor], present: Tensor) -> Prediction:
        """Predict, as `Fusion.forward`."""
        if self.training and self.config.modality_dropout:
            present = hide(present, self.config.modality_dropout)
        parts = torch.stack([self.projections[each.name](vectors[each.name]) for each in self.config.streams], dim=1)
        prediction: Prediction = self.readout(parts * present.unsqueeze(-1), present)
        return prediction


class Block(Standardised):
    """The columns of the first layer that belong to one stream; an average vector gives zero."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__(dim)
        self.gain = LENGTH / dim**0.5
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, hidden, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """(N, dim) to (N, hidden)."""
        out: Tensor = self.linear(self.dropout(self.standardised(vectors) * self.gain))
        return out
