"""The fusion model: modalities projected to one space, weighted by a gate that knows which are there."""

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
    LOGITS_A_UNIT,
    MEDIAN,
    OUTPUTS,
    FusionConfig,
    check_gates,
)


class Prediction(NamedTuple):
    """What the heads say of N posts, the score in units of the standardised target.

    `logit` (N,) of P(viral); `quantiles` (N, 3), never crossing; `rates` (N, 3) log rates of likes, comments, shares;
    `gates` (N, streams), the share of each stream: its weight where there is a gate, else what it adds (`Readout`);
    each row sums to one over the streams that are there, and is zero for the others.
    """

    logit: Tensor
    quantiles: Tensor
    rates: Tensor
    gates: Tensor


class Standardised(nn.Module):
    """Vectors by the training split's mean and standard deviation; both are saved with the weights."""

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def standardised(self, vectors: Tensor) -> Tensor:
        """(N, dim), within 8 standard deviations: an outlier must not decide a score."""
        return ((vectors - self.mean) / self.scale).clamp(-8, 8)


class Projection(Standardised):
    """One stream to the common space: standardised by the training split's statistics, then linear and a bit more.

    Standardised vectors are scaled to about the same length whatever their dimension: else, with few posts, a stream of
    hundreds of dimensions is learnt by heart before one of twenty is learnt at all.
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
    """Fuses streams, whichever are there.

    Each stream is projected to `width`; a stream that is absent is its learned token there. The gate sees all of them
    and gives each stream that is there a weight, by a softmax over those alone. The heads are linear in the weighted
    sum, so the prediction is the weighted sum of what each modality alone would say; with fixed gates it is system A's.
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

    def forward(self, vectors: Mapping[str, Tensor], present: Tensor) -> Prediction:
        """Predict.

        Args:
            vectors: for each stream (N, dim); what stands where it is absent does not matter, but must be finite.
            present: bool (N, streams); every row has at least one.
        """
        if self.training and self.config.modality_dropout:
            present = hide(present, self.config.modality_dropout)
        projected = [self.projections[stream.name](vectors[stream.name]) for stream in self.config.streams]
        tokens = torch.where(present.unsqueeze(-1), torch.stack(projected, dim=1), self.absent)
        gates = self._gates(tokens, present)
        fused = (gates.unsqueeze(-1) * tokens).sum(dim=1)
        return predict(self.head(fused), gates)

    def make_gate(self) -> nn.Module:
        """(N, streams · width) to a score a stream (N, streams); all streams that are there weigh the same at first."""
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
        even = present / present.sum(dim=1, keepdim=True)  # only streams of weight zero are there
        return torch.where(total > 0, weights / total, even)


def predict(heads: Tensor, gates: Tensor) -> Prediction:
    """What `OUTPUTS` numbers a post (N, OUTPUTS) mean; `gates` (N, streams) are passed on."""
    heads = heads.float()
    median = heads[:, MEDIAN]
    low = median - nn.functional.softplus(heads[:, BELOW])
    high = median + nn.functional.softplus(heads[:, ABOVE])
    quantiles = torch.stack([low, median, high], dim=1)
    # A post is viral when its target is high: the logit starts from the median and learns what differs.
    logit = heads[:, LOGIT] + LOGITS_A_UNIT * median
    return Prediction(logit, quantiles, heads[:, FIRST_RATE:], gates)


def hide(present: Tensor, probability: float) -> Tensor:
    """Hide each stream with that probability, but never the last one of a post (Neverova et al. 2016, ModDrop)."""
    kept = present & (torch.rand(present.shape, device=present.device) >= probability)
    return torch.where(kept.any(dim=1, keepdim=True), kept, present)


def set_statistics(
    network: nn.Module, means: Mapping[str, Sequence[float]], scales: Mapping[str, Sequence[float]]
) -> None:
    """Put the training split's mean and standard deviation of each stream into its `projections`."""
    projections = network.projections
    assert isinstance(projections, nn.ModuleDict)
    for name, projection in projections.items():
        assert isinstance(projection, Standardised)
        projection.mean.copy_(torch.as_tensor(means[name]))
        projection.scale.copy_(torch.as_tensor(scales[name]))
