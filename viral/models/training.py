"""Training loop of networks over streams, independent of data loading and of gradient communication."""

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

from viral.datasets.labelled_features import TARGETS, target_arrays
from viral.datasets.streams import Stream, from_table
from viral.models.fusion import NetworkOutput
from viral.models.losses import fusion_loss
from viral.models.train_config import Precision, Scaling, Schedule, TrainConfig


@dataclass(frozen=True)
class TensorBatch:
    """Batch on a device: `vectors[stream]` (N, dim), `present` (N, streams), `targets[name]` (N,)."""

    vectors: dict[str, Tensor]
    present: Tensor
    targets: dict[str, Tensor]

    @property
    def rows(self) -> int:
        """Number of posts N."""
        return len(self.present)

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return sum(tensor.nbytes for tensor in (*self.vectors.values(), self.present, *self.targets.values()))

    def take(self, rows: Tensor | slice) -> TensorBatch:
        """Select posts by row index."""

        def take(values: Tensor) -> Tensor:
            """Select rows of one tensor."""
            # index_select is three times as fast here as indexing with a tensor.
            return values[rows] if isinstance(rows, slice) else values.index_select(0, rows)

        return TensorBatch(
            {name: take(vectors) for name, vectors in self.vectors.items()},
            take(self.present),
            {name: take(values) for name, values in self.targets.items()},
        )


def concat(batches: Sequence[TensorBatch]) -> TensorBatch:
    """Concatenate batches, freeing their tensors one by one: little is in memory twice."""
    first = batches[0]
    return TensorBatch(
        {name: torch.cat([batch.vectors.pop(name) for batch in batches]) for name in list(first.vectors)},
        torch.cat([batch.present for batch in batches]),
        {name: torch.cat([batch.targets.pop(name) for batch in batches]) for name in list(first.targets)},
    )


def to_tensors(streams: tuple[Stream, ...], rows: pa.Table, scaling: Scaling, device: torch.device) -> TensorBatch:
    """Convert rows of labelled features to tensors, with the target standardised."""
    batch = from_table(streams, rows)
    targets = dict(target_arrays(rows))
    targets["target"] = scaling.standardise(targets["target"])
    return TensorBatch(
        {name: torch.from_numpy(array).to(device) for name, array in batch.vectors.items()},
        torch.from_numpy(batch.present).to(device),
        {name: torch.from_numpy(np.array(targets[name])).to(device) for name in TARGETS},
    )


class Resumable:
    """Optimiser and learning rate schedule with a state to save."""

    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR

    def state(self) -> dict[str, Any]:
        """Return the state, as tensors and plain values."""
        return {"optimiser": self.optimiser.state_dict(), "schedule": self.schedule.state_dict()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore a state returned by `state`."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])


class Learner(Resumable):
    """Network, or its wrapper for several workers, with optimiser and learning rate schedule over `steps` steps."""

    def __init__(self, model: nn.Module, config: TrainConfig, steps: int) -> None:
        self.model, self.config = model, config
        self.device = next(model.parameters()).device
        self.optimiser = optimiser(model, config)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, partial(lr_factor, config.schedule, steps))
        self.bfloat16 = use_bfloat16(config.precision, self.device)

    def train(self, batches: Iterable[TensorBatch]) -> float:
        """Train for one epoch; returns the mean loss of its steps."""
        self.model.train()
        losses = [self._step(batch) for batch in batches]
        # Summed on the device, read once per epoch: each read would wait for the GPU.
        return float(torch.stack(losses).mean()) if losses else math.nan

    def validate(self, batches: Iterable[TensorBatch]) -> float:
        """Return the mean loss over all posts of `batches`."""
        self.model.eval()
        total, rows = 0.0, 0
        with torch.inference_mode():
            for batch in batches:
                # Weighted by posts: the last batch is smaller.
                total += float(self._loss(batch)) * batch.rows
                rows += batch.rows
        return total / rows if rows else math.nan

    def seek(self, step: int) -> None:
        """Set the schedule to a step."""
        self.schedule.last_epoch = step
        # Set by hand: `step` would have to be called once for each step that was done.
        for group, rate, factor in zip(
            self.optimiser.param_groups, self.schedule.base_lrs, self.schedule.lr_lambdas, strict=True
        ):
            group["lr"] = rate * factor(step)

    def _step(self, batch: TensorBatch) -> Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimiser.step()
        self.schedule.step()
        return loss.detach()

    def _loss(self, batch: TensorBatch) -> Tensor:
        # Only the network: losses are computed in float32.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            output: NetworkOutput = self.model(batch.vectors, batch.present)
        members = len(output.logit) // batch.rows
        # In training, each member of an ensemble learns by its own loss.
        targets = batch.targets
        if members > 1:
            targets = {name: values.repeat_interleave(members) for name, values in targets.items()}
        return fusion_loss(output, targets, self.config)


def optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Build the configured optimiser over all parameters."""
    groups = parameter_groups(model, config)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9)  # the usual value
    if config.optimizer == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Group the parameters by learning rate: the gate learns slower than the projections that it weights."""
    gate = [parameter for name, parameter in model.named_parameters() if "gate." in name]
    rest = [parameter for name, parameter in model.named_parameters() if "gate." not in name]
    rate = config.learning_rate
    return [{"params": rest, "lr": rate}, {"params": gate, "lr": rate / 10}]  # so that it weights trained streams


def lr_factor(schedule: Schedule, steps: int, step: int) -> float:
    """Return the learning rate's factor at a step: linear warm-up over a tenth of all steps, then the schedule."""
    warm = max(1, steps // 10)
    if step < warm:
        return (step + 1) / warm
    if schedule == "constant":
        return 1.0
    progress = min(1.0, (step - warm) / max(1, steps - warm))
    # Down to a hundredth, not to zero: the last epochs still learn a little.
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))


def use_bfloat16(precision: Precision, device: torch.device) -> bool:
    """Whether to compute in bfloat16: `auto` does on a GPU that supports it.

    On a CPU `auto` uses float32: at this model size the casts cost more than AVX512-BF16 saves.
    """
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    return precision == "bfloat16"
