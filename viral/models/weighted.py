"""Weighted sum of modalities, with one learned weight per modality that is the same for all posts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from viral.models.fusion import Fusion
from viral.models.fusion_config import SCORE_GAIN


class WeightedFusion(Fusion):
    """`Fusion` with a gate that ignores the post; absent streams' weights go to the others in proportion."""

    def make_gate(self) -> nn.Module:
        """Build a gate with one score per stream."""
        return ConstantGate(len(self.config.streams))


class ConstantGate(nn.Module):
    """Gate with one learned score per stream, the same for all posts; equal before training."""

    def __init__(self, count: int) -> None:
        super().__init__()
        # Equal weights before training, as in the gated network.
        self.scores = nn.Parameter(torch.zeros(count))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (N, …) to (N, streams)."""
        return (SCORE_GAIN * self.scores).expand(len(tokens), -1)
