"""A weighted sum of modalities with one weight each, the same for all posts (system A, with the weights learned)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from viral.models.fusion import Fusion

SPEED = 30.0  # Adam moves every number alike: one weight has to move as far as a projection's thousands together


class Weighted(Fusion):
    """`Fusion` with a gate that looks at no post: what is absent gives its weight to the others, in proportion."""

    def make_gate(self) -> nn.Module:
        """One score a stream, whatever the post."""
        return SameForAll(len(self.config.streams))


class SameForAll(nn.Module):
    """Learned scores of the streams, the same for every post; all equal at first."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(count))

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, …) to (N, streams)."""
        return (SPEED * self.scores).expand(len(tokens), -1)
