"""Network over clips: a backbone with heads on its pooled features, and the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from viral.models.fusion import NetworkOutput
from viral.models.fusion_config import LOGITS_PER_UNIT
from viral.models.linear import LinearNetwork
from viral.models.losses import RATES_WEIGHT, SCORE_WEIGHT, pinball, rates_loss, squared
from viral.models.train_config import Loss
from viral.models.video_config import Task

if TYPE_CHECKING:
    from typing import Self

    from viral.extractors.clip_network import ClipNetwork


@dataclass(frozen=True)
class ClipTensors:
    """Clips of N posts on a device: `pixels` uint8 (M, T, H, W, 3), with `clips[i]` consecutive clips of post i.

    `targets[name]` is (N,); `weight` is 0 for a placeholder batch, if no post could be decoded.
    """

    pixels: Tensor
    clips: Sequence[int]
    targets: Mapping[str, Tensor]
    weight: float = 1.0

    @property
    def rows(self) -> int:
        """Number of posts N."""
        return len(self.clips)


class VideoNetwork(nn.Module):
    """Backbone with heads. In evaluation the output equals that of the heads on the extractor's vectors.

    Batch norms retain their pretrained statistics and train only scale and shift: batch statistics of a few videos
    would differ from the statistics in evaluation (Wu & Johnson 2021, arXiv 2105.07576, section 4).
    """

    def __init__(self, spec: ClipNetwork, backbone: nn.Module, heads: LinearNetwork) -> None:
        super().__init__()
        self.spec, self.backbone, self.heads = spec, backbone, heads
        self.frozen = False

    def freeze(self, frozen: bool) -> None:
        """Freeze or unfreeze the backbone."""
        self.frozen = frozen
        self.backbone.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; batch norms and a frozen backbone stay in evaluation mode."""
        super().train(mode)
        self.backbone.train(mode and not self.frozen)
        for module in self.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def forward(self, pixels: Tensor, clips: Sequence[int]) -> NetworkOutput:
        """Predict for N posts from clips uint8 (M, T, H, W, 3) and the number of clips of each post."""
        # No graph through a frozen backbone, which would hold its activations in memory.
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features = self.spec.features(self.backbone, pixels)
        # Pooled per post, as the extractor pools: features of the trained network equal what it saw in training.
        vectors = torch.stack([self.spec.pool(part) for part in torch.split(features, list(clips))])
        present = torch.ones(len(clips), 1, dtype=torch.bool, device=vectors.device)
        output: NetworkOutput = self.heads({self.heads.stream.name: vectors}, present)
        return output


def task_loss(output: NetworkOutput, targets: Mapping[str, Tensor], task: Task, loss: Loss) -> Tensor:
    """Return the weighted losses of the heads that the task trains, as `fusion_loss`; log rates are always trained.

    Args:
        output: the predictions for N posts.
        targets: `is_viral` (N,) 0 or 1, `target` (N,) standardised, and each of `RATES` (N,), NaN where unknown.
        task: selects the heads; a head that is not trained stays constant.
        loss: loss of the score.
    """
    total = RATES_WEIGHT * rates_loss(output, targets)
    if task != "score":
        median = LOGITS_PER_UNIT * output.quantiles[:, 1]
        # The logit starts from the median: for P(viral) alone, gradients must not reach the head of the score.
        logit = output.logit + (median.detach() - median if task == "viral" else 0)
        total = total + functional.binary_cross_entropy_with_logits(logit, targets["is_viral"])
    if task != "viral":
        total = total + SCORE_WEIGHT * (squared if loss == "squared" else pinball)(output.quantiles, targets["target"])
    return total
