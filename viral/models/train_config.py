"""How to train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Precision = Literal["auto", "float32", "bfloat16"]
Optimizer = Literal["adamw", "adam", "sgd"]
Loss = Literal["quantile", "squared"]


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Args:
        epochs: at most so many passes over the training split.
        patience: stop when the validation loss has not fallen for so many.
        batch_size: posts a step, on all workers together; None: a sixteenth of the training split, 16 to 512.
        learning_rate: the peak, after a short warm-up and before a cosine decay.
        weight_decay: of AdamW.
        optimizer: `adam` and `sgd` (with momentum 0.9) decay no weights.
        loss: of the score: `quantile` learns an interval, `squared` the mean.
        report_every: epochs between two checkpoints, where the data fits in memory; a report takes about 2 s.
        precision: `auto` takes bfloat16 where the hardware has it.
        seed: the same seed, data and number of workers give the same model.
    """

    epochs: int = 60
    patience: int = 20
    batch_size: int | None = None
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.1
    optimizer: Optimizer = "adamw"
    loss: Loss = "quantile"
    report_every: int = 10
    precision: Precision = "auto"
    seed: int = 0

    def batch(self, rows: int, workers: int) -> int:
        """Posts a step on each of `workers`, with `rows` posts to train on."""
        together = self.batch_size or min(512, max(16, rows // 16))
        return max(1, together // workers)


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of the target in the training split: the model works in units of these."""

    mean: float
    scale: float

    def standardise(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """From the label's units to the model's."""
        return (values - np.float32(self.mean)) / np.float32(self.scale)
