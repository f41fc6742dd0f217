"""Training settings of a network over clips, trained end to end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from viral.models.train_config import Loss, Precision

Task = Literal["viral", "score", "both"]
"""Learned outputs: whether a post is `viral`, the label's value as `score`, or both."""


@dataclass(frozen=True)
class VideoConfig:
    """Training settings of a network over clips.

    Args:
        task: outputs to learn; the other output stays the training split's mean.
        epochs: maximal number of passes over the training split; each decodes different clips.
        frozen_epochs: number of first epochs, which train only the heads.
        patience: early-stopping patience, in epochs without a lower validation loss.
        batch_size: posts per step over all workers.
        micro_batch: posts per forward pass on a worker; gradients are accumulated over a step.
        clips: clips per post in training.
        learning_rate: peak learning rate of the heads.
        backbone_rate: learning rate of the backbone, as a factor of the heads' rate.
        weight_decay: weight decay of AdamW.
        dropout: dropout rate of the pooled features.
        loss: loss of the score: `quantile` learns an interval, `squared` the mean.
        precision: `auto` uses bfloat16 on a GPU that supports it.
        seed: the same seed, data and number of workers give the same model on CPUs.
    """

    task: Task = "both"
    epochs: int = 12  # fine-tuning needs few, and each decodes all videos
    frozen_epochs: int = 2  # enough for linear heads to give useful gradients
    patience: int = 4
    batch_size: int = 16
    micro_batch: int = 4  # activations of a few clips fill the memory of a small GPU
    clips: int = 1
    learning_rate: float = 1e-3
    backbone_rate: float = 0.1  # pretrained weights are near their optimum
    weight_decay: float = 0.05
    dropout: float = 0.5  # the usual value before a classifier
    loss: Loss = "quantile"
    precision: Precision = "auto"
    seed: int = 0

    def worker_batch_size(self, workers: int) -> int:
        """Posts per step on each of `workers`."""
        return max(1, self.batch_size // workers)
