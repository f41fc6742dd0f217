"""What the fusion model is trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from viral.models.fusion import Prediction
from viral.models.fusion_config import QUANTILES, RATES
from viral.models.train_config import BALANCED, TrainConfig


def pinball(quantiles: Tensor, target: Tensor) -> Tensor:
    """The quantile loss (Koenker & Bassett 1978), averaged over posts and quantiles.

    Args:
        quantiles: (N, 3), as `QUANTILES`.
        target: (N,), in the same units.
    """
    levels = quantiles.new_tensor(QUANTILES)
    error = target.unsqueeze(1) - quantiles
    return torch.maximum(levels * error, (levels - 1) * error).mean()


def squared(quantiles: Tensor, target: Tensor) -> Tensor:
    """The squared error of the middle quantile; the outer ones learn the spread, apart from it.

    Args:
        quantiles: (N, 3), as `QUANTILES`.
        target: (N,), in the same units.
    """
    middle = quantiles[:, 1]
    spread = quantiles + (middle.detach() - middle).unsqueeze(1)  # what the interval learns must not move the mean
    return functional.mse_loss(middle, target) + pinball(spread, target)


def viral_loss(logit: Tensor, is_viral: Tensor, weight: float = 1.0, gamma: float = 0.0) -> Tensor:
    """The cross-entropy of P(viral), averaged over posts; rare virals may count more, and easy posts less.

    The weight moves the logit as well (Menon et al. 2021): so the best logit is still that of the true frequency, while
    a plainly weighted loss would have every probability too high.

    Args:
        logit: (N,).
        is_viral: (N,), 0 or 1.
        weight: of a viral post.
        gamma: of the focal loss (Lin et al. 2017); 0 is the cross-entropy.
    """
    moved = logit + math.log(weight)
    weights = torch.where(is_viral > 0, weight, 1.0)
    each = weights * functional.binary_cross_entropy_with_logits(moved, is_viral, reduction="none")
    if gamma:
        right = torch.sigmoid(torch.where(is_viral > 0, moved, -moved))
        each = (1 - right) ** gamma * each
    return each.mean()


def fusion_loss(prediction: Prediction, targets: Mapping[str, Tensor], config: TrainConfig | None = None) -> Tensor:
    """The sum of the heads' losses; a rate that is not known (NaN) counts nothing.

    Args:
        prediction: of N posts.
        targets: `is_viral` (N,) 0 or 1, `target` (N,) standardised, and each of `RATES` (N,).
        config: which losses; `balanced` must be a number by now.
    """
    config = config or TrainConfig()
    assert config.viral_weight != BALANCED, "that is known by whoever has counted the posts"
    viral = viral_loss(prediction.logit, targets["is_viral"], config.viral_weight, config.focal)
    score = squared if config.loss == "squared" else pinball
    return viral + 3 * score(prediction.quantiles, targets["target"]) + 0.1 * rates_gap(prediction, targets)


def rates_gap(prediction: Prediction, targets: Mapping[str, Tensor]) -> Tensor:
    """The smooth absolute error of the log rates that are known; NaN in `targets` is one that is not."""
    rates = torch.stack([targets[name] for name in RATES], dim=1)
    known = rates.isfinite()
    gap = functional.smooth_l1_loss(prediction.rates, rates.nan_to_num(0.0), reduction="none")
    return (gap * known).sum() / known.sum().clamp_min(1)
