"""The training of the fusion model, apart from where its batches come from and how gradients travel."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from viral.datasets.labelled_features import TARGETS, targets_of
from viral.datasets.streams import Stream, from_table
from viral.models.fusion import Prediction
from viral.models.losses import fusion_loss
from viral.models.train_config import Precision, Scaling, Schedule, TrainConfig


@dataclass(frozen=True)
class Tensors:
    """One batch on a device: `vectors[stream]` (N, dim), `present` (N, streams), `targets[name]` (N,)."""

    vectors: dict[str, Tensor]
    present: Tensor
    targets: dict[str, Tensor]

    @property
    def rows(self) -> int:
        """N."""
        return len(self.present)

    @property
    def bytes(self) -> int:
        """What they take in memory."""
        return sum(each.nbytes for each in (*self.vectors.values(), self.present, *self.targets.values()))

    def take(self, rows: Tensor | slice) -> Tensors:
        """The posts at `rows`."""

        def taken(values: Tensor) -> Tensor:
            # Three times as fast here as indexing with a tensor.
            return values[rows] if isinstance(rows, slice) else values.index_select(0, rows)

        return Tensors(
            {name: taken(vectors) for name, vectors in self.vectors.items()},
            taken(self.present),
            {name: taken(values) for name, values in self.targets.items()},
        )


def together(parts: Sequence[Tensors]) -> Tensors:
    """Several batches as one; a part is let go of where it was copied, so that little is held twice."""
    first = parts[0]
    return Tensors(
        {name: torch.cat([part.vectors.pop(name) for part in parts]) for name in list(first.vectors)},
        torch.cat([part.present for part in parts]),
        {name: torch.cat([part.targets.pop(name) for part in parts]) for name in list(first.targets)},
    )


def tensors_of(streams: tuple[Stream, ...], rows: pa.Table, scaling: Scaling, device: torch.device) -> Tensors:
    """Rows of labelled features as tensors, the target standardised."""
    batch = from_table(streams, rows)
    targets = dict(targets_of(rows))
    targets["target"] = scaling.standardise(targets["target"])
    return Tensors(
        {name: torch.from_numpy(array).to(device) for name, array in batch.vectors.items()},
        torch.from_numpy(batch.present).to(device),
        {name: torch.from_numpy(np.array(targets[name])).to(device) for name in TARGETS},
    )


class Learner:
    """A model with its optimiser and schedule.

    Args:
        model: the fusion model, or its wrapping for several workers.
        config: how to train.
        steps: optimiser steps in all epochs together, for the schedule.
    """

    def __init__(self, model: nn.Module, config: TrainConfig, steps: int) -> None:
        self.model, self.config = model, config
        self.device = next(model.parameters()).device
        self.optimiser = optimiser(model, config)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, partial(factor, config.schedule, steps))
        self.bfloat16 = wants_bfloat16(config.precision, self.device)

    def train(self, batches: Iterable[Tensors]) -> float:
        """One epoch; the mean loss of its steps."""
        self.model.train()
        losses = [self._step(batch) for batch in batches]
        return float(torch.stack(losses).mean()) if losses else math.nan

    def validate(self, batches: Iterable[Tensors]) -> float:
        """The mean loss over the posts of `batches`."""
        self.model.eval()
        total, rows = 0.0, 0
        with torch.inference_mode():
            for batch in batches:
                total += float(self._loss(batch)) * batch.rows
                rows += batch.rows
        return total / rows if rows else math.nan

    def state(self) -> dict[str, Any]:
        """All that is needed to go on: tensors and plain values only."""
        return {"optimiser": self.optimiser.state_dict(), "schedule": self.schedule.state_dict()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])

    def at(self, step: int) -> None:
        """Go on from that step of the schedule, however many were taken to get there."""
        self.schedule.last_epoch = step
        for group, rate, of in zip(
            self.optimiser.param_groups, self.schedule.base_lrs, self.schedule.lr_lambdas, strict=True
        ):
            group["lr"] = rate * of(step)

    def _step(self, batch: Tensors) -> Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimiser.step()
        self.schedule.step()
        return loss.detach()

    def _loss(self, batch: Tensors) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            prediction: Prediction = self.model(batch.vectors, batch.present)
        return fusion_loss(prediction, batch.targets, self.config)


def optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser that the config names, over the parameters that learn."""
    groups = parameter_groups(model, config)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9)
    if config.optimizer == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """The gate learns at a tenth of the rate: what a stream says must be learnt before how far to trust it."""
    gate = [each for name, each in model.named_parameters() if "gate." in name]
    rest = [each for name, each in model.named_parameters() if "gate." not in name]
    rate = config.learning_rate
    return [{"params": rest, "lr": rate}, {"params": gate, "lr": rate / 10}]


def factor(schedule: Schedule, steps: int, step: int) -> float:
    """The learning rate's factor: up over the first tenth of all steps, then as the schedule says."""
    warm = max(1, steps // 10)
    if step < warm:
        return (step + 1) / warm
    if schedule == "constant":
        return 1.0
    done = min(1.0, (step - warm) / max(1, steps - warm))
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))


def wants_bfloat16(precision: Precision, device: torch.device) -> bool:
    """Whether to compute in bfloat16: asked for, or `auto` on a GPU that has it.

    On a CPU `auto` stays with float32: at this model's size the casts cost more than AVX512-BF16 saves.
    """
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    return precision == "bfloat16"
