"""The training of a network over clips, apart from where its batches come from and how gradients travel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from viral.models.training import factor, wants_bfloat16
from viral.models.video import ClipBatch, VideoNetwork, task_loss
from viral.models.video_config import VideoConfig

Wrap = Callable[[nn.Module], nn.Module]
"""Makes a network learn together with those of other workers."""


class VideoLearner:
    """A network over clips with its optimiser and schedule.

    First the heads learn on a backbone that is held still, then all do, the backbone at a lower rate: gradients of
    heads that know nothing yet would undo what the backbone has learnt (Howard & Ruder 2018, arXiv 1801.06146).

    Args:
        model: the network, on its device.
        config: how to train.
        steps: optimiser steps of an epoch.
        wrap: for several workers; it is called once for each phase, since what learns changes.
    """

    def __init__(self, model: VideoNetwork, config: VideoConfig, steps: int, wrap: Wrap = lambda model: model) -> None:
        self.model, self.config, self.wrap = model, config, wrap
        self.device = next(model.parameters()).device
        self.bfloat16 = wants_bfloat16(config.precision, self.device)
        rate = config.learning_rate
        groups = [
            {"params": list(model.heads.parameters()), "lr": rate},
            {"params": list(model.backbone.parameters()), "lr": rate * config.backbone_rate},
        ]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        total, frozen = steps * config.epochs, steps * min(config.frozen_epochs, config.epochs)
        factors = [
            lambda step: factor("cosine", total, step),
            lambda step: factor("cosine", total - frozen, max(0, step - frozen)),
        ]
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, factors)
        self._wrapped: nn.Module | None = None

    def train(self, steps: Iterable[Sequence[ClipBatch]], epoch: int) -> tuple[float, int]:
        """One epoch, a step for each group of batches, whose gradients add up.

        Returns:
            The sum of the losses of all steps with posts, and how many those are.
        """
        network = self._phase(epoch)
        self.model.train()
        losses = [loss for batches in steps if (loss := self._step(network, batches)) is not None]
        return (float(torch.stack(losses).sum()) if losses else 0.0), len(losses)

    def validate(self, batches: Iterable[ClipBatch]) -> tuple[float, int]:
        """The sum of the losses of the posts of `batches`, and how many those are."""
        self.model.eval()
        total, rows = 0.0, 0
        with torch.inference_mode():
            for batch in batches:
                total += float(self._loss(self.model, batch)) * batch.rows
                rows += batch.rows
        return total, rows

    def state(self) -> dict[str, Any]:
        """All that is needed to go on: tensors and plain values only."""
        return {"optimiser": self.optimiser.state_dict(), "schedule": self.schedule.state_dict()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])

    def _phase(self, epoch: int) -> nn.Module:
        frozen = epoch < self.config.frozen_epochs
        if self._wrapped is None or frozen != self.model.frozen:
            self.model.freeze(frozen)
            self._wrapped = self.wrap(self.model)
        return self._wrapped

    def _step(self, network: nn.Module, batches: Sequence[ClipBatch]) -> Tensor | None:
        """One step; the mean loss of its posts, or None where there are none."""
        self.optimiser.zero_grad(set_to_none=True)
        rows = sum(batch.rows * batch.weight for batch in batches)
        total = torch.zeros((), device=self.device)
        for place, batch in enumerate(batches, start=1):
            alone = getattr(network, "no_sync", nullcontext) if place < len(batches) else nullcontext
            with alone():  # workers wait for each other once a step
                loss = self._loss(network, batch) * (batch.rows * batch.weight / max(1.0, rows))
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            total += loss.detach()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        return total if rows else None

    def _loss(self, network: nn.Module, batch: ClipBatch) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            prediction = network(batch.pixels, batch.clips)
        return task_loss(prediction, batch.targets, self.config.task, self.config.loss)
