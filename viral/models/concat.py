"""Multi-layer perceptron on the concatenation of all modalities."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from viral.models.fusion import NetworkOutput, Standardised, drop_modalities
from viral.models.fusion_config import INPUT_NORM, FusionConfig, check_gates
from viral.models.readout import HIDDEN_FACTOR, Readout


class Concat(nn.Module):
    """One hidden layer on standardised vectors and presence flags.

    The layer is stored as one block of weights per stream: the blocks' outputs add up to the layer's output on the
    concatenation, and each of them gives the contribution of its stream.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        check_gates(config)
        self.config = config
        hidden = HIDDEN_FACTOR * config.width
        self.projections = nn.ModuleDict(
            {stream.name: Block(stream.dim, hidden, config.dropout) for stream in config.streams}
        )
        self.readout = Readout(len(config.streams), hidden, config.dropout)

    def forward(self, vectors: Mapping[str, Tensor], present: Tensor) -> NetworkOutput:
        """Predict, as `Fusion.forward`."""
        if self.training and self.config.modality_dropout:
            present = drop_modalities(present, self.config.modality_dropout)
        parts = torch.stack([self.projections[s.name](vectors[s.name]) for s in self.config.streams], dim=1)
        # The part of an absent stream is zero, as that of an average vector; the flags tell them apart.
        output: NetworkOutput = self.readout(parts * present.unsqueeze(-1), present)
        return output


class Block(Standardised):
    """Weights of the hidden layer for one stream; the output for an average vector is zero."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__(dim)
        self.gain = INPUT_NORM / dim**0.5
        self.dropout = nn.Dropout(dropout)
        # Without a bias, so that an average vector gives zero; the readout has the bias.
        self.linear = nn.Linear(dim, hidden, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (N, dim) to (N, hidden)."""
        out: Tensor = self.linear(self.dropout(self.standardised(vectors) * self.gain))
        return out
