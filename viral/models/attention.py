"""Cross-attention over the tokens of all modalities: for streams of several tokens and large data sets."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from viral.datasets.streams import Stream
from viral.errors import ConfigError
from viral.models.fusion import NetworkOutput, Standardised, drop_modalities
from viral.models.fusion_config import INPUT_NORM, FusionConfig, check_gates
from viral.models.readout import HIDDEN_FACTOR, Readout

QUERIES = 4  # pooled vectors per post: a single query could collect only one mixture of tokens


class Attention(nn.Module):
    """Attention of learned queries over the present tokens of all streams (Lee et al. 2019, Set Transformer).

    The key of a token depends on its content, position and stream; its value only on its content, and an average token
    has the value zero. So the queries collect what distinguishes a post. A hidden layer reads out what they collected.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        check_gates(config)
        self.config = config
        width, hidden = config.width, HIDDEN_FACTOR * config.width
        self.projections = nn.ModuleDict(
            {stream.name: Tokens(stream, width, config.dropout) for stream in config.streams}
        )
        self.queries = nn.Parameter(torch.randn(QUERIES, width))
        self.mix = nn.Linear(QUERIES * width, hidden, bias=False)
        self.readout = Readout(len(config.streams), hidden, config.dropout)

    def forward(self, vectors: Mapping[str, Tensor], present: Tensor) -> NetworkOutput:
        """Predict, as `Fusion.forward`."""
        if self.training and self.config.modality_dropout:
            present = drop_modalities(present, self.config.modality_dropout)
        pairs = [self.projections[stream.name](vectors[stream.name]) for stream in self.config.streams]
        counts = [stream.tokens for stream in self.config.streams]
        keys = torch.cat([key for key, _ in pairs], dim=1)
        # A stream is present or absent as a whole: all its tokens share one flag.
        weights = self._weights(keys, present.repeat_interleave(present.new_tensor(counts, dtype=torch.long), dim=1))
        pooled = [
            torch.einsum("ntq,ntw->nqw", weight.to(value.dtype), value).flatten(1)
            for weight, (_, value) in zip(torch.split(weights, counts, dim=1), pairs, strict=True)
        ]
        output: NetworkOutput = self.readout(self.mix(torch.stack(pooled, dim=1)), present)
        return output

    def _weights(self, keys: Tensor, present: Tensor) -> Tensor:
        """Attention weights (N, tokens, queries): per query they sum to 1 over the present tokens."""
        # Scaled by the square root of the width, as usual; in float32, since bfloat16 is too coarse for a softmax.
        scores = (keys @ self.queries.T).float() / self.config.width**0.5
        weights: Tensor = scores.masked_fill(~present.unsqueeze(-1), float("-inf")).softmax(dim=1)
        return weights


class Tokens(Standardised):
    """Map vectors of one stream to keys and values: standardise the whole vector, then split it into tokens."""

    def __init__(self, stream: Stream, width: int, dropout: float) -> None:
        super().__init__(stream.dim)
        if stream.dim % stream.tokens:
            raise ConfigError(f"{stream.name} has {stream.dim} values, which cannot be cut into {stream.tokens} tokens")
        self.shape = (stream.tokens, stream.dim // stream.tokens)
        # Tokens of any size get about the same length.
        self.gain = INPUT_NORM / self.shape[1] ** 0.5
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(self.shape[1], width, bias=False)
        self.more = nn.Sequential(nn.Dropout(dropout), nn.GELU(), nn.Linear(width, width, bias=False))
        self.place = nn.Parameter(torch.zeros(stream.tokens, width))  # position embedding; the name is stored
        self.key = nn.Linear(width, width)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, dim) to keys and values, (N, tokens, width) each."""
        tokens = (self.standardised(vectors) * self.gain).unflatten(1, self.shape)
        linear: Tensor = self.linear(self.dropout(tokens))
        # Only the key knows the position: what a token says does not depend on where it stands.
        return self.key(linear + self.place), linear + self.more(linear)
