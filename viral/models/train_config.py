"""Training settings of networks over streams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

Precision = Literal["auto", "float32", "bfloat16"]
Optimizer = Literal["adamw", "adam", "sgd"]
Loss = Literal["quantile", "squared"]
Schedule = Literal["cosine", "constant"]
BALANCED: Literal["balanced"] = "balanced"


@dataclass(frozen=True)
class TrainConfig:
    """Training settings of networks over streams.

    Args:
        epochs: maximal number of passes over the training split.
        patience: early-stopping patience, in epochs without a lower validation loss.
        batch_size: posts per step over all workers; None: a sixteenth of the training split, 16 to 512.
        learning_rate: peak learning rate, after a short warm-up.
        schedule: learning rate after the warm-up: `cosine` decay to a hundredth, or `constant`.
        weight_decay: weight decay of AdamW.
        optimizer: `adam` and `sgd` (with momentum 0.9) use no weight decay.
        clip: maximal norm of the gradient.
        loss: loss of the score: `quantile` learns an interval, `squared` the mean.
        viral_weight: weight of a viral post in the loss of P(viral); `balanced`: equal total weights of both classes.
        focal: gamma of the focal loss (Lin et al. 2017), which down-weights posts that are already classified well.
            Unless 0, P(viral) is not a frequency.
        report_every: epochs between two checkpoints if the data fits in memory; a checkpoint takes about 2 s.
        precision: `auto` uses bfloat16 on a GPU that supports it.
        seed: the same seed, data and number of workers give the same model.
    """

    epochs: int = 60  # an upper bound: early stopping decides
    patience: int = 20  # the validation loss of few posts is noisy
    batch_size: int | None = None
    learning_rate: float = 1.5e-3
    schedule: Schedule = "cosine"
    weight_decay: float = 0.1  # strong: there are more parameters than posts
    optimizer: Optimizer = "adamw"
    clip: float = 1.0  # the usual value
    loss: Loss = "quantile"
    viral_weight: float | Literal["balanced"] = 1.0
    focal: float = 0.0
    report_every: int = 10  # an epoch in memory takes less time than a report
    precision: Precision = "auto"
    seed: int = 0

    def resolve_viral_weight(self, viral_fraction: float) -> TrainConfig:
        """Replace `balanced` by a number, given the fraction of viral posts in the training split."""
        if self.viral_weight != BALANCED:
            return self
        # Both classes then have the same total weight.
        balanced = (1 - viral_fraction) / viral_fraction if 0 < viral_fraction < 1 else 1.0
        return replace(self, viral_weight=balanced)

    def worker_batch_size(self, rows: int, workers: int) -> int:
        """Posts per step on each of `workers`, with `rows` training posts."""
        # About 16 steps per epoch, with at least 16 posts for gradients that are not too noisy.
        total = self.batch_size or min(512, max(16, rows // 16))
        return max(1, total // workers)


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of the target in the training split, the units of a model's score."""

    mean: float
    scale: float

    def standardise(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Convert from the label's units to the model's."""
        return (values - np.float32(self.mean)) / np.float32(self.scale)
