"""Gated fusion of modalities, with any of them missing; base classes and output format of all networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from viral.models.fusion_config import (
    ABOVE,
    BELOW,
    FIRST_RATE,
    INPUT_NORM,
    LOGIT,
    LOGITS_PER_UNIT,
    MAX_DEVIATION,
    MEDIAN,
    OUTPUTS,
    FusionConfig,
    check_gates,
)


class NetworkOutput(NamedTuple):
    """Output of a network for N posts, the score in units of the standardised target.

    Attributes:
        logit: (N,), log odds of being viral.
        quantiles: (N, 3), quantiles of the score, which never cross.
        rates: (N, 3), log rates of likes, comments and shares.
        contributions: (N, streams), gate weights or, without a gate, the effects measured by `Readout`; rows sum to 1,
            absent streams are 0.
    """

    logit: Tensor
    quantiles: Tensor
    rates: Tensor
    contributions: Tensor


class Standardised(nn.Module):
    """Module that stores the mean and standard deviation of its input over the training split with its weights."""

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def standardised(self, vectors: Tensor) -> Tensor:
        """Standardise vectors (N, dim) and clamp them to `MAX_DEVIATION`."""
        return ((vectors - self.mean) / self.scale).clamp(-MAX_DEVIATION, MAX_DEVIATION)


class Projection(Standardised):
    """Project a stream to the common space: standardisation, a linear layer and a residual nonlinear one.

    Vectors of any dimension are scaled to about the same length. Otherwise, with few posts, the network overfits a
    stream of hundreds of dimensions before it learns anything from one of twenty.
    """

    def __init__(self, dim: int, width: int, dropout: float) -> None:
        super().__init__(dim)
        self.gain = INPUT_NORM / dim**0.5
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, width)
        self.more = nn.Sequential(nn.Dropout(dropout), nn.GELU(), nn.Linear(width, width))

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (N, dim) to (N, width)."""
        linear: Tensor = self.linear(self.dropout(self.standardised(vectors) * self.gain))
        out: Tensor = linear + self.more(linear)
        return out


class Fusion(nn.Module):
    """Gated network over any subset of its streams.

    Each stream is projected to a token of size `width`; an absent stream has a learned token. The gate sees all tokens
    and weights the present streams by a softmax. The heads are linear, so a prediction is the weighted sum of the
    predictions from each stream alone.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        check_gates(config)
        self.config = config
        count = len(config.streams)
        self.projections = nn.ModuleDict(
            {stream.name: Projection(stream.dim, config.width, config.dropout) for stream in config.streams}
        )
        # A missing modality may itself be a hint, so its token is learned.
        self.absent = nn.Parameter(torch.zeros(count, config.width))
        # With fixed weights the gate is not used, so it is not trained.
        self.gate = self.make_gate().requires_grad_(config.gates is None)
        self.head = nn.Linear(config.width, OUTPUTS)

    def forward(self, vectors: Mapping[str, Tensor], present: Tensor) -> NetworkOutput:
        """Predict.

        Args:
            vectors: (N, dim) per stream; values of absent streams are ignored, but must be finite.
            present: bool (N, streams); each post has at least one stream.
        """
        # Streams hidden at random teach the network to predict from any subset, as later posts may lack any of them.
        if self.training and self.config.modality_dropout:
            present = drop_modalities(present, self.config.modality_dropout)
        projected = [self.projections[stream.name](vectors[stream.name]) for stream in self.config.streams]
        tokens = torch.where(present.unsqueeze(-1), torch.stack(projected, dim=1), self.absent)
        gates = self._gates(tokens, present)
        fused = (gates.unsqueeze(-1) * tokens).sum(dim=1)
        return decode_heads(self.head(fused), gates)

    def make_gate(self) -> nn.Module:
        """Build the module that maps (N, streams · width) to scores (N, streams), all equal before training."""
        gate = nn.Linear(len(self.config.streams) * self.config.width, len(self.config.streams))
        nn.init.zeros_(gate.weight)
        nn.init.zeros_(gate.bias)
        return gate

    def _gates(self, tokens: Tensor, present: Tensor) -> Tensor:
        if self.config.gates is None:
            scores = self.gate(tokens.flatten(1)).float()
            # An absent stream gets no weight at all: the present ones share it.
            learned: Tensor = scores.masked_fill(~present, float("-inf")).softmax(dim=1)
            return learned
        weights = tokens.new_tensor([self.config.gates[stream.name] for stream in self.config.streams]) * present
        total = weights.sum(dim=1, keepdim=True)
        equal = present / present.sum(dim=1, keepdim=True)  # only streams of weight zero are present
        return torch.where(total > 0, weights / total, equal)


def decode_heads(heads: Tensor, contributions: Tensor) -> NetworkOutput:
    """Convert the last layer (N, OUTPUTS) to a `NetworkOutput` with these `contributions` (N, streams)."""
    heads = heads.float()
    median = heads[:, MEDIAN]
    # Positive distances from the median: quantiles cannot cross, whatever the weights.
    low = median - nn.functional.softplus(heads[:, BELOW])
    high = median + nn.functional.softplus(heads[:, ABOVE])
    quantiles = torch.stack([low, median, high], dim=1)
    # A post is viral when its target is high: the logit starts from the median and learns the difference.
    logit = heads[:, LOGIT] + LOGITS_PER_UNIT * median
    return NetworkOutput(logit, quantiles, heads[:, FIRST_RATE:], contributions)


def drop_modalities(present: Tensor, probability: float) -> Tensor:
    """Hide each stream with this probability, but never all streams of a post (Neverova et al. 2016, ModDrop)."""
    visible = present & (torch.rand(present.shape, device=present.device) >= probability)
    return torch.where(visible.any(dim=1, keepdim=True), visible, present)


def set_statistics(
    network: nn.Module, means: Mapping[str, Sequence[float]], scales: Mapping[str, Sequence[float]]
) -> None:
    """Copy the training split's mean and standard deviation of each stream into the network's `projections`."""
    projections = network.projections
    assert isinstance(projections, nn.ModuleDict)
    # Stored with the weights: a scorer standardises as the training did.
    for name, projection in projections.items():
        assert isinstance(projection, Standardised)
        projection.mean.copy_(torch.as_tensor(means[name]))
        projection.scale.copy_(torch.as_tensor(scales[name]))
