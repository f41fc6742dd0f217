"""Training loop of networks over clips, independent of data loading and of gradient communication."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from viral.models.training import Resumable, lr_factor, use_bfloat16
from viral.models.video import ClipTensors, VideoNetwork, task_loss
from viral.models.video_config import VideoConfig

Wrap = Callable[[nn.Module], nn.Module]  # wraps a network for training on several workers
MAX_GRADIENT_NORM = 1.0  # as `TrainConfig.clip`


class VideoLearner(Resumable):
    """Network over clips with optimiser and learning rate schedule.

    First the heads are trained on a frozen backbone, then all parameters, the backbone at a lower rate: gradients of
    untrained heads would destroy pretrained features (Howard & Ruder 2018, arXiv 1801.06146).

    Args:
        model: the network, on its device.
        config: training settings.
        steps: optimiser steps per epoch.
        wrap: wraps the network for several workers; called once per phase, as the trained parameters change.
    """

    def __init__(self, model: VideoNetwork, config: VideoConfig, steps: int, wrap: Wrap = lambda model: model) -> None:
        self.model, self.config, self.wrap = model, config, wrap
        self.device = next(model.parameters()).device
        self.bfloat16 = use_bfloat16(config.precision, self.device)
        rate = config.learning_rate
        # Heads first, then the backbone: the order of `factors` below.
        groups = [
            {"params": list(model.heads.parameters()), "lr": rate},
            {"params": list(model.backbone.parameters()), "lr": rate * config.backbone_rate},
        ]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        total, frozen = steps * config.epochs, steps * min(config.frozen_epochs, config.epochs)
        # The backbone's schedule starts when it is unfrozen, with a warm-up of its own.
        factors = [
            lambda step: lr_factor("cosine", total, step),
            lambda step: lr_factor("cosine", total - frozen, max(0, step - frozen)),
        ]
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, factors)
        # Wrapped anew whenever parameters are frozen or unfrozen: a wrapper for several workers notes them once.
        self._wrapped: nn.Module | None = None

    def train(self, steps: Iterable[Sequence[ClipTensors]], epoch: int) -> tuple[float, int]:
        """Train for one epoch, one step per group of batches; returns the sum of the steps' losses and their number.

        Steps without posts are not counted.
        """
        network = self._network(epoch)
        self.model.train()
        losses = [loss for batches in steps if (loss := self._step(network, batches)) is not None]
        return (float(torch.stack(losses).sum()) if losses else 0.0), len(losses)

    def validate(self, batches: Iterable[ClipTensors]) -> tuple[float, int]:
        """Return the sum of the losses of all posts, and their number."""
        self.model.eval()
        total, rows = 0.0, 0
        with torch.inference_mode():
            for batch in batches:
                total += float(self._loss(self.model, batch)) * batch.rows
                rows += batch.rows
        return total, rows

    def _network(self, epoch: int) -> nn.Module:
        """Return the wrapped network, after freezing or unfreezing the backbone for the epoch."""
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
            with no_sync():  # workers exchange gradients only once per step
                loss = self._loss(network, batch) * (batch.rows * batch.weight / max(1.0, rows))
                loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
            total += loss.detach()
        nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
        self.optimiser.step()
        self.schedule.step()
        # A step without posts still takes part in the exchange of gradients, but says nothing about the loss.
        return total if rows else None

    def _loss(self, network: nn.Module, batch: ClipTensors) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            output = network(batch.pixels, batch.clips)
        return task_loss(output, batch.targets, self.config.task, self.config.loss)
