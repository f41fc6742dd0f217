"""Weighted sum of modalities with one learned weight per modality, the same for all posts (system A)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from viral.models.fusion import Fusion

SPEED = 30.0  # Adam moves all parameters equally fast: one weight has to keep up with a projection's thousands


class WeightedFusion(Fusion):
    """`Fusion` with a gate that ignores the post: weights of absent streams go to the others in proportion."""

    def make_gate(self) -> nn.Module:
        """One score per stream, whatever the post."""
        return SameForAll(len(self.config.streams))


class SameForAll(nn.Module):
    """Learned scores of the streams, the same for every post; initially equal."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(count))

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, …) to (N, streams)."""
        return (SPEED * self.scores).expand(len(tokens), -1)
