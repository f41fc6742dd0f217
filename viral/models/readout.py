"""Hidden layer and heads of a network, and the contribution of each stream to the prediction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from viral.models.fusion import NetworkOutput, decode_heads
from viral.models.fusion_config import MEDIAN, OUTPUTS

HIDDEN_FACTOR = 4  # hidden units per unit of width, as in the feed-forward layer of a transformer
_MIN_CHANGE = 1e-3  # of a hidden unit's input: the quotient of smaller changes would be mostly rounding error


class Readout(nn.Module):
    """Hidden layer of size `hidden`, whose input is a sum with one term per stream, and the heads.

    The contribution of a stream is its absolute effect on the median, compared with a post whose streams are all
    average, by the rescale rule of DeepLIFT (Shrikumar et al. 2017): the effects add up to the difference between the
    two posts. Unlike attention weights it measures effects; unlike occlusion it needs no further forward pass.
    """

    def __init__(self, streams: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.base = nn.Linear(streams, hidden)  # on the presence flags: a missing stream is information too
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, OUTPUTS)

    def forward(self, parts: Tensor, present: Tensor) -> NetworkOutput:
        """Predict.

        Args:
            parts: (N, streams, hidden), zero where a stream is average or absent.
            present: bool (N, streams).
        """
        base = self.base(present.to(parts.dtype))
        active = nn.functional.gelu(base + parts.sum(dim=1))
        contributions = self._contributions(parts.detach(), base.detach(), present)
        return decode_heads(self.head(self.dropout(active)), contributions)

    @torch.no_grad()
    def _contributions(self, parts: Tensor, base: Tensor, present: Tensor) -> Tensor:
        change = parts.sum(dim=1).float()
        change = torch.where(change.abs() < _MIN_CHANGE, _MIN_CHANGE, change)
        rise = nn.functional.gelu(base + change) - nn.functional.gelu(base.float())
        slopes = self.head.weight[MEDIAN] * rise / change
        # The effect of a stream on a hidden unit, times the unit's slope and its weight in the median, summed over
        # units.
        effects = torch.einsum("nsh,nh->ns", parts.float(), slopes).abs() * present
        total = effects.sum(dim=1, keepdim=True)
        equal = present / present.sum(dim=1, keepdim=True)  # a post whose streams are all average
        return torch.where(total > 0, effects / total.clamp_min(torch.finfo(total.dtype).tiny), equal)
