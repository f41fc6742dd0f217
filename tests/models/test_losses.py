"""The losses against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss

from viral.models.fusion import BELOW, LOGIT, MEDIAN, QUANTILES, RATES, Prediction, predict
from viral.models.losses import fusion_loss, pinball, squared


def test_pinball_by_hand() -> None:
    quantiles = torch.tensor([[0.0, 1.0, 2.0], [5.0, 6.0, 9.0]])
    target = torch.tensor([3.0, 4.0])
    # 3 above all: 0.05·3, 0.5·2, 0.95·1; 4 below all: 0.95·1, 0.5·2, 0.05·5
    expected = (0.15 + 1.0 + 0.95 + 0.95 + 1.0 + 0.25) / 6
    assert pinball(quantiles, target).item() == pytest.approx(expected)


def test_pinball_is_scikit_learns() -> None:
    chance = np.random.default_rng(0)
    quantiles, target = np.sort(chance.normal(size=(100, 3)), axis=1), chance.normal(size=100)
    expected = np.mean(
        [mean_pinball_loss(target, quantiles[:, place], alpha=level) for place, level in enumerate(QUANTILES)]
    )
    assert pinball(torch.tensor(quantiles), torch.tensor(target)).item() == pytest.approx(expected)


def said(logit: list[float], rates: list[list[float]]) -> Prediction:
    count = len(logit)
    return Prediction(
        torch.tensor(logit),
        torch.tensor([[-1.0, 0.0, 1.0]]).repeat(count, 1),
        torch.tensor(rates),
        torch.ones(count, 1),
    )


def wanted(viral: list[float], rates: dict[str, list[float]]) -> dict[str, torch.Tensor]:
    count = len(viral)
    unknown = {name: torch.full((count,), math.nan) for name in RATES}
    known = {name: torch.tensor(values) for name, values in rates.items()}
    return {"is_viral": torch.tensor(viral), "target": torch.zeros(count), **unknown, **known}


def test_the_sum_by_hand() -> None:
    prediction = said([0.0, math.log(3)], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    targets = wanted([1.0, 0.0], {"likes_rate": [0.5, math.nan], "shares_rate": [math.nan, 3.0]})
    viral = (math.log(2) + math.log(4)) / 2
    around = (0.05 + 0.0 + 0.05) / 3
    rate = (0.5**2 / 2 + (3 - 0.5)) / 2  # smooth L1, over the two that are known
    assert fusion_loss(prediction, targets).item() == pytest.approx(viral + 3 * around + 0.1 * rate)


def test_unknown_rates_count_nothing() -> None:
    targets = wanted([1.0, 0.0], {})
    without = fusion_loss(said([1.0, 1.0], [[0.0] * 3] * 2), targets)
    prediction = said([1.0, 1.0], [[100.0] * 3] * 2)
    prediction.rates.requires_grad_()
    loss = fusion_loss(prediction, targets)
    assert loss.item() == without.item()
    loss.backward()
    assert (prediction.rates.grad == 0).all()


def test_the_squared_loss_moves_the_middle_by_its_error_alone() -> None:
    heads = torch.tensor([[0.0, 0.5, 1.0, 2.0, 0.0, 0.0, 0.0]], requires_grad=True)
    said = predict(heads, torch.ones(1, 1))
    squared(said.quantiles, torch.tensor([2.0])).backward()  # type: ignore[no-untyped-call]
    assert heads.grad is not None
    assert heads.grad[0, MEDIAN].item() == pytest.approx(2 * (0.5 - 2.0))
    assert heads.grad[0, BELOW].item() > 0  # the target is above: the lower end may come nearer
    assert heads.grad[0, LOGIT].item() == 0
