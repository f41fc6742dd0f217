"""Gated fusion of modalities, with any of them missing; base classes and output format of all networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from viral.datasets.streams import Stream
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
from viral.models.numbers import is_numbers, widths


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


class NumbersProjection(Projection):
    """`Projection` of a stream of numbers, encoded piecewise linearly.

    Args:
        dim: values of the stream.
        width: size of the common space.
        dropout: dropout rate in training.
        bins: of the encoding, whose edges `set_edges` sets.
    """

    edges: Tensor
    widths: Tensor

    def __init__(self, dim: int, width: int, dropout: float, bins: int) -> None:
        super().__init__(dim, width, dropout)
        self.gain = INPUT_NORM / (dim * bins) ** 0.5
        self.linear = nn.Linear(dim * bins, width)
        # One unit per bin until the edges are known.
        self.register_buffer("edges", torch.arange(bins + 1.0).repeat(dim, 1))
        self.register_buffer("widths", torch.ones(dim, bins))

    def standardised(self, vectors: Tensor) -> Tensor:
        """Encode vectors (N, dim) as (N, dim · bins) between -1 and 1: 1 for each bin below the value."""
        reach = (vectors.unsqueeze(-1) - self.edges[:, :-1]) / self.widths
        return (2 * reach.clamp(0, 1) - 1).flatten(1)

    def set_edges(self, edges: Tensor) -> None:
        """Set the edges (dim, bins + 1), which are stored with the weights."""
        self.edges.copy_(edges)
        self.widths.copy_(torch.from_numpy(widths(edges.numpy())))


class Fusion(nn.Module):
    """Gated network over any subset of its streams.

    Each stream is projected to a token of size `width`; an absent stream has a learned token. The gate sees all tokens
    and weights the present streams by a softmax. The heads are linear, so a prediction is the weighted sum of the
    predictions from each stream alone.

    With several members, each scales the tokens' first layer by factors of its own and has heads of its own; all other
    weights are shared, and the members' heads are averaged. In training, the output holds all members, post by post,
    so that each learns by its own loss. Source: Gorishniy et al. 2024, TabM.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        check_gates(config)
        self.config = config
        count = len(config.streams)
        self.projections = nn.ModuleDict({stream.name: make_projection(stream, config) for stream in config.streams})
        # A missing modality may itself be a hint, so its token is learned.
        self.absent = nn.Parameter(torch.zeros(count, config.width))
        # With fixed weights the gate is not used, so it is not trained.
        self.gate = self.make_gate().requires_grad_(config.gates is None)
        self.head = nn.Linear(config.width, OUTPUTS)
        if config.members > 1:
            # Random signs make the members differ from the start.
            signs = torch.randint(0, 2, (config.members, count, config.width)) * 2.0 - 1
            self.member_scales = nn.Parameter(signs)
            self.member_heads = nn.Parameter(0.1 * torch.randn(config.members, config.width, OUTPUTS))

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
        heads = self.head(fused)
        if self.config.members == 1:
            return decode_heads(heads, gates)
        heads = heads.unsqueeze(1) + self._members(tokens, gates)
        if self.training:
            return decode_heads(heads.flatten(0, 1), gates.repeat_interleave(self.config.members, dim=0))
        return decode_heads(heads.mean(dim=1), gates)

    def _members(self, tokens: Tensor, gates: Tensor) -> Tensor:
        """Heads (N, members, OUTPUTS) that each member adds to the common ones."""
        # The rectifier makes members that differ in signs see different halves of each token.
        scaled = nn.functional.gelu(tokens.unsqueeze(1) * self.member_scales)
        hidden = nn.functional.dropout(scaled, self.config.dropout, self.training)
        fused = (gates[:, None, :, None] * hidden).sum(dim=2)
        return torch.einsum("nmw,mwo->nmo", fused, self.member_heads)

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


def make_projection(stream: Stream, config: FusionConfig) -> Projection:
    """Build the projection of a stream: encoded if it is of numbers and the config says so."""
    if config.bins and is_numbers(stream):
        return NumbersProjection(stream.dim, config.width, config.dropout, config.bins)
    return Projection(stream.dim, config.width, config.dropout)


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
    network: nn.Module,
    means: Mapping[str, Sequence[float]],
    scales: Mapping[str, Sequence[float]],
    edges: Mapping[str, Sequence[Sequence[float]]] | None = None,
) -> None:
    """Copy the training split's mean, standard deviation and bin edges of each stream into its `projections`."""
    projections = network.projections
    assert isinstance(projections, nn.ModuleDict)
    # Stored with the weights: a scorer standardises as the training did.
    for name, projection in projections.items():
        assert isinstance(projection, Standardised)
        projection.mean.copy_(torch.as_tensor(means[name]))
        projection.scale.copy_(torch.as_tensor(scales[name]))
        if isinstance(projection, NumbersProjection):
            assert edges is not None, "a network that encodes numbers needs their edges"
            projection.set_edges(torch.as_tensor(edges[name], dtype=torch.float32))
