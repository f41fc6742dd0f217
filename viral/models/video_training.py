"""Training loop of a network over clips, independent of data loading and of gradient communication."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from viral.models.training import Resumable, lr_factor, use_bfloat16
from viral.models.video import ClipTensors, VideoNetwork, task_loss
from viral.models.video_config import VideoConfig

Wrap = Callable[[nn.Module], nn.Module]
"""Wraps a network for training on several workers."""

CLIP = 1.0  # maximal norm of the gradient, as in `TrainConfig`


class VideoLearner(Resumable):
    """A network over clips with its optimiser and learning rate schedule.

    The heads are trained first, on a frozen backbone, then everything, the backbone at a lower rate: gradients of
    untrained heads would destroy pretrained features (Howard & Ruder 2018, arXiv 1801.06146).

    Args:
        model: the network, on its device.
        config: training settings.
        steps: optimiser steps per epoch.
        wrap: for several workers; called once per phase, as the trained parameters change.
    """

    def __init__(self, model: VideoNetwork, config: VideoConfig, steps: int, wrap: Wrap = lambda model: model) -> None:
        self.model, self.config, self.wrap = model, config, wrap
        self.device = next(model.parameters()).device
        self.bfloat16 = use_bfloat16(config.precision, self.device)
        rate = config.learning_rate
        groups = [
            {"params": list(model.heads.parameters()), "lr": rate},
            {"params": list(model.backbone.parameters()), "lr": rate * config.backbone_rate},
        ]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        total, frozen = steps * config.epochs, steps * min(config.frozen_epochs, config.epochs)
        factors = [
            lambda step: lr_factor("cosine", total, step),
            lambda step: lr_factor("cosine", total - frozen, max(0, step - frozen)),
        ]
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, factors)
        self._wrapped: nn.Module | None = None

    def train(self, steps: Iterable[Sequence[ClipTensors]], epoch: int) -> tuple[float, int]:
        """Train for one epoch, one step per group of batches, with accumulated gradients.

        Returns:
            The sum of the losses of all steps with posts, and the number of these steps.
        """
        network = self._network(epoch)
        self.model.train()
        losses = [loss for batches in steps if (loss := self._step(network, batches)) is not None]
        return (float(torch.stack(losses).sum()) if losses else 0.0), len(losses)

    def validate(self, batches: Iterable[ClipTensors]) -> tuple[float, int]:
        """The sum of the losses of all posts of `batches`, and the number of posts."""
        self.model.eval()
        total, rows = 0.0, 0
        with torch.inference_mode():
            for batch in batches:
                total += float(self._loss(self.model, batch)) * batch.rows
                rows += batch.rows
        return total, rows

    def _network(self, epoch: int) -> nn.Module:
        """The wrapped network of the epoch's phase."""
        frozen = epoch < self.config.frozen_epochs
        if self._wrapped is None or frozen != self.model.frozen:
            self.model.freeze(frozen)
            self._wrapped = self.wrap(self.model)
        return self._wrapped

    def _step(self, network: nn.Module, batches: Sequence[ClipTensors]) -> Tensor | None:
        """Take one optimiser step; returns the mean loss of its posts, or None without posts."""
        self.optimiser.zero_grad(set_to_none=True)
        rows = sum(batch.rows * batch.weight for batch in batches)
        total = torch.zeros((), device=self.device)
        for number, batch in enumerate(batches, start=1):
            no_sync = getattr(network, "no_sync", nullcontext) if number < len(batches) else nullcontext
            with no_sync():  # workers exchange gradients once per step
                loss = self._loss(network, batch) * (batch.rows * batch.weight / max(1.0, rows))
                loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
            total += loss.detach()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimiser.step()
        self.schedule.step()
        return total if rows else None

    def _loss(self, network: nn.Module, batch: ClipTensors) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            output = network(batch.pixels, batch.clips)
        return task_loss(output, batch.targets, self.config.task, self.config.loss)
