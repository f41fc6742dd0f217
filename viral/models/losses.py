"""Losses of networks."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from viral.models.fusion import NetworkOutput
from viral.models.fusion_config import QUANTILES, RATES
from viral.models.train_config import BALANCED, TrainConfig

SCORE_WEIGHT = 3  # balances the losses of a constant predictor: 0.2 (quantile loss), 0.5 to 0.7 (cross-entropy)
RATES_WEIGHT = 0.1  # an auxiliary task must not compete with the main ones


def pinball(quantiles: Tensor, target: Tensor) -> Tensor:
    """Return the quantile loss (Koenker & Bassett 1978), averaged over posts and quantiles.

    Args:
        quantiles: (N, 3), in the order of `QUANTILES`.
        target: (N,), in the same units.
    """
    levels = quantiles.new_tensor(QUANTILES)
    error = target.unsqueeze(1) - quantiles
    return torch.maximum(levels * error, (levels - 1) * error).mean()


def squared(quantiles: Tensor, target: Tensor) -> Tensor:
    """Return the squared error of the median, plus the quantile loss of the interval's width.

    Args:
        quantiles: (N, 3), in the order of `QUANTILES`.
        target: (N,), in the same units.
    """
    middle = quantiles[:, 1]
    spread = quantiles + (middle.detach() - middle).unsqueeze(1)  # gradients of the interval must not move the mean
    return functional.mse_loss(middle, target) + pinball(spread, target)


def viral_loss(logit: Tensor, is_viral: Tensor, weight: float = 1.0, gamma: float = 0.0) -> Tensor:
    """Return the cross-entropy of P(viral), averaged over posts, with optional class weight and focal factor.

    The weight also shifts the logit (Menon et al. 2021), so that the optimal probability is still the true frequency;
    with a plain weighted loss all probabilities would be too high.

    Args:
        logit: (N,).
        is_viral: (N,), 0 or 1.
        weight: weight of a viral post.
        gamma: exponent of the focal loss (Lin et al. 2017); 0 is the cross-entropy.
    """
    # The shift is undone at prediction, where only `logit` is used.
    shifted = logit + math.log(weight)
    weights = torch.where(is_viral > 0, weight, 1.0)
    losses = weights * functional.binary_cross_entropy_with_logits(shifted, is_viral, reduction="none")
    if gamma:
        correct = torch.sigmoid(torch.where(is_viral > 0, shifted, -shifted))
        losses = (1 - correct) ** gamma * losses
    return losses.mean()


def fusion_loss(output: NetworkOutput, targets: Mapping[str, Tensor], config: TrainConfig | None = None) -> Tensor:
    """Return the weighted sum of the losses of all heads; unknown rates (NaN) are ignored.

    Args:
        output: the predictions for N posts.
        targets: `is_viral` (N,) 0 or 1, `target` (N,) standardised, and each of `RATES` (N,).
        config: selects the losses; `viral_weight` must be a number (`TrainConfig.resolve_viral_weight`).
    """
    config = config or TrainConfig()
    assert config.viral_weight != BALANCED, "call resolve_viral_weight first"
    viral = viral_loss(output.logit, targets["is_viral"], config.viral_weight, config.focal)
    score = squared if config.loss == "squared" else pinball
    return (
        viral + SCORE_WEIGHT * score(output.quantiles, targets["target"]) + RATES_WEIGHT * rates_loss(output, targets)
    )


def rates_loss(output: NetworkOutput, targets: Mapping[str, Tensor]) -> Tensor:
    """Return the smooth L1 loss of the log rates, averaged over those that are not NaN in `targets`."""
    rates = torch.stack([targets[name] for name in RATES], dim=1)
    # NaN is replaced before the loss and masked after it: a mask alone would leave NaN in the gradients.
    valid = rates.isfinite()
    loss = functional.smooth_l1_loss(output.rates, rates.nan_to_num(0.0), reduction="none")
    return (loss * valid).sum() / valid.sum().clamp_min(1)
