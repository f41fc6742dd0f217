"""A hidden layer over a sum of what the streams give, and how much each of them moved the prediction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from viral.models.fusion import Prediction, predict
from viral.models.fusion_config import MEDIAN, OUTPUTS

_SMALL = 1e-3  # a change below this has the slope in place of the quotient


class Readout(nn.Module):
    """`OUTPUTS` numbers from a hidden layer whose input is a sum of one part a stream.

    The share of a stream is the size of what it adds to the median, against a post that is average in every stream and
    has the same ones: by the rescale rule of DeepLIFT (Shrikumar et al. 2017), whose contributions add up to exactly
    the difference to that post. Unlike attention or a gate it counts what a stream changes, not where the network
    looks; unlike occlusion it takes no further pass.

    Args:
        streams: how many.
        hidden: the size of the hidden layer.
        dropout: of the hidden layer, in training.
    """

    def __init__(self, streams: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.base = nn.Linear(streams, hidden)  # of the presence flags: which streams are there is information too
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, OUTPUTS)

    def forward(self, parts: Tensor, present: Tensor) -> Prediction:
        """Predict.

        Args:
            parts: (N, streams, hidden), zero where a stream is average or absent.
            present: bool (N, streams).
        """
        base = self.base(present.to(parts.dtype))
        active = nn.functional.gelu(base + parts.sum(dim=1))
        return predict(self.head(self.dropout(active)), self._shares(parts.detach(), base.detach(), present))

    @torch.no_grad()
    def _shares(self, parts: Tensor, base: Tensor, present: Tensor) -> Tensor:
        change = parts.sum(dim=1).float()
        change = torch.where(change.abs() < _SMALL, _SMALL, change)
        rise = nn.functional.gelu(base + change) - nn.functional.gelu(base.float())
        weights = self.head.weight[MEDIAN] * rise / change
        moved = torch.einsum("nsh,nh->ns", parts.float(), weights).abs() * present
        total = moved.sum(dim=1, keepdim=True)
        even = present / present.sum(dim=1, keepdim=True)  # a post that is average in all it has
        return torch.where(total > 0, moved / total.clamp_min(torch.finfo(total.dtype).tiny), even)
