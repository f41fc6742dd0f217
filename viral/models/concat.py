"""Concatenation of all modalities into a multi-layer perceptron (system B)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from viral.models.fusion import NetworkOutput, Standardised, hide
from viral.models.fusion_config import LENGTH, FusionConfig, check_gates
from viral.models.readout import Readout

HIDDEN = 4  # hidden units per unit of width, as in the feed-forward layer of a transformer


class Concat(nn.Module):
    """Standardised vectors and presence flags, one hidden layer and the heads.

    The first layer is stored as one block per stream. Their sum equals the product with the concatenation, and the
    part of each stream stays available for its contribution.
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

    def forward(self, vectors: Mapping[str, Tensor], present: Tensor) -> NetworkOutput:
        """Predict, as `Fusion.forward`."""
        if self.training and self.config.modality_dropout:
            present = hide(present, self.config.modality_dropout)
        parts = torch.stack([self.projections[s.name](vectors[s.name]) for s in self.config.streams], dim=1)
        output: NetworkOutput = self.readout(parts * present.unsqueeze(-1), present)
        return output


class Block(Standardised):
    """Columns of the first layer for one stream; an average vector gives zero."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__(dim)
        self.gain = LENGTH / dim**0.5
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, hidden, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """(N, dim) to (N, hidden)."""
        out: Tensor = self.linear(self.dropout(self.standardised(vectors) * self.gain))
        return out
