"""A network over clips with the heads on its pooled features, and what it is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from viral.models.fusion import Prediction
from viral.models.fusion_config import LOGITS_A_UNIT
from viral.models.linear import Linear
from viral.models.losses import pinball, rates_gap, squared
from viral.models.train_config import Loss
from viral.models.video_config import Task

if TYPE_CHECKING:
    from typing import Self

    from viral.extractors.clip_network import ClipNetwork


@dataclass(frozen=True)
class ClipBatch:
    """Clips of N posts on a device: `pixels` uint8 (M, T, H, W, 3), `clips` how many of the M each post has in turn.

    `targets[name]` is (N,); `weight` is 0 for one that only stands in for posts that could not be decoded.
    """

    pixels: Tensor
    clips: Sequence[int]
    targets: Mapping[str, Tensor]
    weight: float = 1.0

    @property
    def rows(self) -> int:
        """N."""
        return len(self.clips)


class VideoNetwork(nn.Module):
    """A backbone and its heads. In evaluation it says what the heads say of the vectors that its extractor makes.

    Batch norms keep the statistics that the weights came with, and learn the rest: of the few videos that go through
    at once they would be others than those of evaluation (Wu & Johnson 2021, arXiv 2105.07576, section 4).
    """

    def __init__(self, spec: ClipNetwork, backbone: nn.Module, heads: Linear) -> None:
        super().__init__()
        self.spec, self.backbone, self.heads = spec, backbone, heads
        self.frozen = False

    def freeze(self, frozen: bool) -> None:
        """Hold the backbone still, or let it go."""
        self.frozen = frozen
        self.backbone.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Into training or evaluation; a frozen backbone stays in evaluation, and batch norms always do."""
        super().train(mode)
        self.backbone.train(mode and not self.frozen)
        for each in self.backbone.modules():
            if isinstance(each, nn.modules.batchnorm._BatchNorm):
                each.eval()
        return self

    def forward(self, pixels: Tensor, clips: Sequence[int]) -> Prediction:
        """Predict for N posts: clips uint8 (M, T, H, W, 3), and how many of them each post has in turn."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features = self.spec.features(self.backbone, pixels)
        vectors = torch.stack([self.spec.pooled(part) for part in torch.split(features, list(clips))])
        present = torch.ones(len(clips), 1, dtype=torch.bool, device=vectors.device)
        prediction: Prediction = self.heads({self.heads.stream.name: vectors}, present)
        return prediction


def task_loss(prediction: Prediction, targets: Mapping[str, Tensor], task: Task, loss: Loss) -> Tensor:
    """The losses of the heads that the task trains, weighed as `fusion_loss` does; the log rates are learnt beside.

    Args:
        prediction: of N posts.
        targets: `is_viral` (N,) 0 or 1, `target` (N,) standardised, and each of `RATES` (N,), NaN where not known.
        task: what is learnt. A score that is not stays the constant that it began as.
        loss: of the score.
    """
    total = 0.1 * rates_gap(prediction, targets)
    if task != "score":
        middle = LOGITS_A_UNIT * prediction.quantiles[:, 1]
        logit = prediction.logit + (middle.detach() - middle if task == "viral" else 0)
        total = total + functional.binary_cross_entropy_with_logits(logit, targets["is_viral"])
    if task != "viral":
        total = total + 3 * (squared if loss == "squared" else pinball)(prediction.quantiles, targets["target"])
    return total
