"""What the fusion model is trained on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from viral.models.fusion import QUANTILES, RATES, Prediction
from viral.models.train_config import Loss


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


def fusion_loss(prediction: Prediction, targets: Mapping[str, Tensor], loss: Loss = "quantile") -> Tensor:
    """The sum of the heads' losses; a rate that is not known (NaN) counts nothing.

    Args:
        prediction: of N posts.
        targets: `is_viral` (N,) 0 or 1, `target` (N,) standardised, and each of `RATES` (N,).
        loss: of the score.
    """
    viral = functional.binary_cross_entropy_with_logits(prediction.logit, targets["is_viral"])
    score = squared if loss == "squared" else pinball
    return viral + 3 * score(prediction.quantiles, targets["target"]) + 0.1 * rates_gap(prediction, targets)


def rates_gap(prediction: Prediction, targets: Mapping[str, Tensor]) -> Tensor:
    """The smooth absolute error of the log rates that are known; NaN in `targets` is one that is not."""
    rates = torch.stack([targets[name] for name in RATES], dim=1)
    known = rates.isfinite()
    gap = functional.smooth_l1_loss(prediction.rates, rates.nan_to_num(0.0), reduction="none")
    return (gap * known).sum() / known.sum().clamp_min(1)
