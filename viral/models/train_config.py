"""How to train."""

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
    """How to train.

    Args:
        epochs: at most so many passes over the training split.
        patience: stop when the validation loss has not fallen for so many.
        batch_size: posts a step, on all workers together; None: a sixteenth of the training split, 16 to 512.
        learning_rate: the peak, after a short warm-up.
        schedule: what follows the warm-up: a `cosine` down to a hundredth, or the peak, `constant`.
        weight_decay: of AdamW.
        optimizer: `adam` and `sgd` (with momentum 0.9) decay no weights.
        clip: gradients longer than this are shortened to it.
        loss: of the score: `quantile` learns an interval, `squared` the mean.
        viral_weight: how much a viral post counts in the loss of P(viral) against another one; `balanced`: as much as
            makes both kinds count the same in the training split.
        focal: how much less posts count that are told apart already (the gamma of Lin et al. 2017); 0: not at all.
            P(viral) is then no longer a frequency.
        report_every: epochs between two checkpoints, where the data fits in memory; a report takes about 2 s.
        precision: `auto` takes bfloat16 where the hardware has it.
        seed: the same seed, data and number of workers give the same model.
    """

    epochs: int = 60
    patience: int = 20
    batch_size: int | None = None
    learning_rate: float = 1.5e-3
    schedule: Schedule = "cosine"
    weight_decay: float = 0.1
    optimizer: Optimizer = "adamw"
    clip: float = 1.0
    loss: Loss = "quantile"
    viral_weight: float | Literal["balanced"] = 1.0
    focal: float = 0.0
    report_every: int = 10
    precision: Precision = "auto"
    seed: int = 0

    def balanced(self, share: float) -> TrainConfig:
        """The same with `balanced` as a number, where `share` of the training split is viral."""
        if self.viral_weight != BALANCED:
            return self
        return replace(self, viral_weight=(1 - share) / share if 0 < share < 1 else 1.0)

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
