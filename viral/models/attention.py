"""Cross-attention over the tokens of all modalities: for streams of several tokens, and for much data."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from viral.datasets.streams import Stream
from viral.errors import ConfigError
from viral.models.fusion import Prediction, Standardised, hide
from viral.models.fusion_config import LENGTH, FusionConfig, check_gates
from viral.models.readout import Readout

QUERIES = 4
HIDDEN = 4  # times the width


class Attention(nn.Module):
    """Learned queries attend over the tokens that are there (pooling as in Lee et al. 2019, Set Transformer).

    A stream gives `Stream.tokens` tokens. Each has a key, from the token, its place and its stream, and a value, from
    the token alone: zero for an average token, so that what a query gathers is what sets a post apart. The values
    that the queries gathered from each stream are read out by one hidden layer.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        check_gates(config)
        self.config = config
        width, hidden = config.width, HIDDEN * config.width
        self.projections = nn.ModuleDict(
            {stream.name: Tokens(stream, width, config.dropout) for stream in config.streams}
        )
        self.queries = nn.Parameter(torch.randn(QUERIES, width))
        self.mix = nn.Linear(QUERIES * width, hidden, bias=False)
        self.readout = Readout(len(config.streams), hidden, config.dropout)

    def forward(self, vectors: Mapping[str, Tensor], present: Tensor) -> Prediction:
        """Predict, as `Fusion.forward`."""
        if self.training and self.config.modality_dropout:
            present = hide(present, self.config.modality_dropout)
        pairs = [self.projections[stream.name](vectors[stream.name]) for stream in self.config.streams]
        counts = [stream.tokens for stream in self.config.streams]
        keys = torch.cat([key for key, _ in pairs], dim=1)
        weights = self._weights(keys, present.repeat_interleave(present.new_tensor(counts, dtype=torch.long), dim=1))
        gathered = [
            torch.einsum("ntq,ntw->nqw", weight.to(value.dtype), value).flatten(1)
            for weight, (_, value) in zip(torch.split(weights, counts, dim=1), pairs, strict=True)
        ]
        prediction: Prediction = self.readout(self.mix(torch.stack(gathered, dim=1)), present)
        return prediction

    def _weights(self, keys: Tensor, there: Tensor) -> Tensor:
        """(N, tokens, queries): for each query summing to one over the tokens that are there, zero for the others."""
        scores = (keys @ self.queries.T).float() / self.config.width**0.5
        weights: Tensor = scores.masked_fill(~there.unsqueeze(-1), float("-inf")).softmax(dim=1)
        return weights


class Tokens(Standardised):
    """One stream as tokens: the whole vector standardised, then cut."""

    def __init__(self, stream: Stream, width: int, dropout: float) -> None:
        super().__init__(stream.dim)
        if stream.dim % stream.tokens:
            raise ConfigError(f"{stream.name} has {stream.dim} values, which are not {stream.tokens} tokens alike")
        self.shape = (stream.tokens, stream.dim // stream.tokens)
        self.gain = LENGTH / self.shape[1] ** 0.5
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(self.shape[1], width, bias=False)
        self.more = nn.Sequential(nn.Dropout(dropout), nn.GELU(), nn.Linear(width, width, bias=False))
        self.place = nn.Parameter(torch.zeros(stream.tokens, width))
        self.key = nn.Linear(width, width)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """(N, dim) to keys and values, (N, tokens, width) each."""
        tokens = (self.standardised(vectors) * self.gain).unflatten(1, self.shape)
        linear: Tensor = self.linear(self.dropout(tokens))
        return self.key(linear + self.place), linear + self.more(linear)
