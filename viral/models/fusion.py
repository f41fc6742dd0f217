"""The fusion model: modalities projected to one space and weighted by a gate that handles missing ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from viral.models.fusion_config import (
    ABOVE,
    BELOW,
    FIRST_RATE,
    LENGTH,
    LOGIT,
    LOGITS_PER_UNIT,
    MEDIAN,
    OUTPUTS,
    FusionConfig,
    check_gates,
)

BOUND = 8  # standard deviations, far outside real data: an outlier must not decide a score


class NetworkOutput(NamedTuple):
    """Output of a network for N posts, the score in units of the standardised target.

    Attributes:
        logit: (N,), of P(viral).
        quantiles: (N, 3), of the score, never crossing.
        rates: (N, 3), log rates of likes, comments and shares.
        contributions: (N, streams), gate weights or, without a gate, the effects measured by `Readout`; rows sum to 1,
            absent streams are 0.
    """

    logit: Tensor
    quantiles: Tensor
    rates: Tensor
    contributions: Tensor


class Standardised(nn.Module):
    """Module with the training split's mean and standard deviation of its input, saved with the weights."""

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def standardised(self, vectors: Tensor) -> Tensor:
        """Standardise vectors (N, dim) and clamp them to `BOUND` standard deviations."""
        return ((vectors - self.mean) / self.scale).clamp(-BOUND, BOUND)


class Projection(Standardised):
    """Projects a stream to the common space: standardisation, then a linear layer and a residual nonlinear one.

    Standardised vectors are scaled to about the same length whatever their dimension. Otherwise, with few posts, the
    network overfits a stream of hundreds of dimensions before it learns anything from one of twenty.
    """

    def __init__(self, dim: int, width: int, dropout: float) -> None:
        super().__init__(dim)
        self.gain = LENGTH / dim**0.5
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, width)
        self.more = nn.Sequential(nn.Dropout(dropout), nn.GELU(), nn.Linear(width, width))

    def forward(self, vectors: Tensor) -> Tensor:
        """(N, dim) to (N, width)."""
        linear: Tensor = self.linear(self.dropout(self.standardised(vectors) * self.gain))
        out: Tensor = linear + self.more(linear)
        return out


class Fusion(nn.Module):
    """Fuses any subset of its streams.

    Each stream is projected to `width`; an absent stream is replaced by a learned token. The gate sees all tokens and
    weights the present streams by a softmax. The heads are linear in the weighted sum, so the prediction is the
    weighted sum of what each modality alone would predict; with fixed gates this is system A.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        check_gates(config)
        self.config = config
        count = len(config.streams)
        self.projections = nn.ModuleDict(
            {stream.name: Projection(stream.dim, config.width, config.dropout) for stream in config.streams}
        )
        self.absent = nn.Parameter(torch.zeros(count, config.width))
        self.gate = self.make_gate().requires_grad_(config.gates is None)
        self.head = nn.Linear(config.width, OUTPUTS)

    def forward(self, vectors: Mapping[str, Tensor], present: Tensor) -> NetworkOutput:
        """Predict.

        Args:
            vectors: (N, dim) per stream; values of absent streams are ignored, but must be finite.
            present: bool (N, streams); every row has at least one.
        """
        if self.training and self.config.modality_dropout:
            present = hide(present, self.config.modality_dropout)
        projected = [self.projections[stream.name](vectors[stream.name]) for stream in self.config.streams]
        tokens = torch.where(present.unsqueeze(-1), torch.stack(projected, dim=1), self.absent)
        gates = self._gates(tokens, present)
        fused = (gates.unsqueeze(-1) * tokens).sum(dim=1)
        return decode_heads(self.head(fused), gates)

    def make_gate(self) -> nn.Module:
        """Module from (N, streams · width) to one score per stream (N, streams); initially all scores are equal."""
        gate = nn.Linear(len(self.config.streams) * self.config.width, len(self.config.streams))
        nn.init.zeros_(gate.weight)
        nn.init.zeros_(gate.bias)
        return gate

    def _gates(self, tokens: Tensor, present: Tensor) -> Tensor:
        if self.config.gates is None:
            scores = self.gate(tokens.flatten(1)).float()
            learned: Tensor = scores.masked_fill(~present, float("-inf")).softmax(dim=1)
            return learned
        weights = tokens.new_tensor([self.config.gates[stream.name] for stream in self.config.streams]) * present
        total = weights.sum(dim=1, keepdim=True)
        equal = present / present.sum(dim=1, keepdim=True)  # only streams of weight zero are present
        return torch.where(total > 0, weights / total, equal)


def decode_heads(heads: Tensor, contributions: Tensor) -> NetworkOutput:
    """Interpret the last layer (N, OUTPUTS); `contributions` (N, streams) are passed on."""
    heads = heads.float()
    median = heads[:, MEDIAN]
    low = median - nn.functional.softplus(heads[:, BELOW])
    high = median + nn.functional.softplus(heads[:, ABOVE])
    quantiles = torch.stack([low, median, high], dim=1)
    # A post is viral when its target is high: the logit starts from the median and learns the difference.
    logit = heads[:, LOGIT] + LOGITS_PER_UNIT * median
    return NetworkOutput(logit, quantiles, heads[:, FIRST_RATE:], contributions)


def hide(present: Tensor, probability: float) -> Tensor:
    """Hide each stream with this probability, but never all of a post (Neverova et al. 2016, ModDrop)."""
    visible = present & (torch.rand(present.shape, device=present.device) >= probability)
    return torch.where(visible.any(dim=1, keepdim=True), visible, present)


def set_statistics(
    network: nn.Module, means: Mapping[str, Sequence[float]], scales: Mapping[str, Sequence[float]]
) -> None:
    """Copy the training split's mean and standard deviation of each stream into the network's `projections`."""
    projections = network.projections
    assert isinstance(projections, nn.ModuleDict)
    for name, projection in projections.items():
        assert isinstance(projection, Standardised)
        projection.mean.copy_(torch.as_tensor(means[name]))
        projection.scale.copy_(torch.as_tensor(scales[name]))
