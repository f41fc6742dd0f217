"""How to train a network on clips, end to end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from viral.models.train_config import Loss, Precision

Task = Literal["viral", "score", "both"]
"""What the network learns: `viral` whether a post is, `score` the label's value, or both."""


@dataclass(frozen=True)
class VideoConfig:
    """How to train a network on clips.

    Args:
        task: what it learns; what it does not learn stays the training split's mean.
        epochs: at most so many passes over the training split; each decodes other clips.
        frozen_epochs: of these, the first that train the heads alone.
        patience: stop when the validation loss has not fallen for so many.
        batch_size: posts a step, on all workers together.
        micro_batch: posts that go through the network at once on a worker; gradients add up to a step.
        clips: of a post in training.
        learning_rate: the head's peak.
        backbone_rate: the backbone's, in parts of the head's.
        weight_decay: of AdamW.
        dropout: of the pooled features.
        loss: of the score: `quantile` learns an interval, `squared` the mean.
        precision: `auto` takes bfloat16 on a GPU that has it.
        seed: the same seed, data and number of workers give the same model on CPUs.
    """

    task: Task = "both"
    epochs: int = 12
    frozen_epochs: int = 2
    patience: int = 4
    batch_size: int = 16
    micro_batch: int = 4
    clips: int = 1
    learning_rate: float = 1e-3
    backbone_rate: float = 0.1
    weight_decay: float = 0.05
    dropout: float = 0.5
    loss: Loss = "quantile"
    precision: Precision = "auto"
    seed: int = 0

    def share(self, workers: int) -> int:
        """Posts a step on each of so many workers."""
        return max(1, self.batch_size // workers)
