"""The losses against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss

from viral.models.fusion import NetworkOutput, decode_heads
from viral.models.fusion_config import BELOW, LOGIT, MEDIAN, QUANTILES, RATES
from viral.models.losses import fusion_loss, pinball, squared, viral_loss


def test_pinball_by_hand() -> None:
    quantiles = torch.tensor([[0.0, 1.0, 2.0], [5.0, 6.0, 9.0]])
    target = torch.tensor([3.0, 4.0])
    # 3 above all: 0.05·3, 0.5·2, 0.95·1; 4 below all: 0.95·1, 0.5·2, 0.05·5
    expected = (0.15 + 1.0 + 0.95 + 0.95 + 1.0 + 0.25) / 6
    assert pinball(quantiles, target).item() == pytest.approx(expected)


def test_pinball_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    quantiles, target = np.sort(rng.normal(size=(100, 3)), axis=1), rng.normal(size=100)
    expected = np.mean(
        [mean_pinball_loss(target, quantiles[:, index], alpha=level) for index, level in enumerate(QUANTILES)]
    )
    assert pinball(torch.tensor(quantiles), torch.tensor(target)).item() == pytest.approx(expected)


def make_output(logit: list[float], rates: list[list[float]]) -> NetworkOutput:
    count = len(logit)
    return NetworkOutput(
        torch.tensor(logit),
        torch.tensor([[-1.0, 0.0, 1.0]]).repeat(count, 1),
        torch.tensor(rates),
        torch.ones(count, 1),
    )


def make_targets(viral: list[float], rates: dict[str, list[float]]) -> dict[str, torch.Tensor]:
    count = len(viral)
    unknown = {name: torch.full((count,), math.nan) for name in RATES}
    known = {name: torch.tensor(values) for name, values in rates.items()}
    return {"is_viral": torch.tensor(viral), "target": torch.zeros(count), **unknown, **known}


def test_the_sum_by_hand() -> None:
    prediction = make_output([0.0, math.log(3)], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    targets = make_targets([1.0, 0.0], {"likes_rate": [0.5, math.nan], "shares_rate": [math.nan, 3.0]})
    viral = (math.log(2) + math.log(4)) / 2
    interval = (0.05 + 0.0 + 0.05) / 3
    rate = (0.5**2 / 2 + (3 - 0.5)) / 2  # smooth L1, over the two that are known
    assert fusion_loss(prediction, targets).item() == pytest.approx(viral + 3 * interval + 0.1 * rate)


def test_unknown_rates_count_nothing() -> None:
    targets = make_targets([1.0, 0.0], {})
    without = fusion_loss(make_output([1.0, 1.0], [[0.0] * 3] * 2), targets)
    prediction = make_output([1.0, 1.0], [[100.0] * 3] * 2)
    prediction.rates.requires_grad_()
    loss = fusion_loss(prediction, targets)
    assert loss.item() == without.item()
    loss.backward()
    assert (prediction.rates.grad == 0).all()


def test_the_squared_loss_moves_the_middle_by_its_error_alone() -> None:
    heads = torch.tensor([[0.0, 0.5, 1.0, 2.0, 0.0, 0.0, 0.0]], requires_grad=True)
    make_output = decode_heads(heads, torch.ones(1, 1))
    squared(make_output.quantiles, torch.tensor([2.0])).backward()
    assert heads.grad is not None
    assert heads.grad[0, MEDIAN].item() == pytest.approx(2 * (0.5 - 2.0))
    assert heads.grad[0, BELOW].item() > 0  # the target is above: the lower end may come nearer
    assert heads.grad[0, LOGIT].item() == 0


def test_a_viral_post_counts_so_much_more() -> None:
    logit, is_viral = torch.tensor([0.3, -0.7]), torch.tensor([1.0, 0.0])
    high, low = 0.3 + math.log(4), -0.7 + math.log(4)
    expected = (4 * math.log1p(math.exp(-high)) + math.log1p(math.exp(low))) / 2
    assert viral_loss(logit, is_viral, weight=4.0).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("weight", [1.0, 9.0])
def test_a_weight_leaves_the_best_probability_what_it_is(weight: float) -> None:
    """Of 1,000 posts 100 are viral: the loss is least where P(viral) is a tenth."""
    is_viral = (torch.arange(1000) < 100).double()
    logits = torch.linspace(-4, 0, 401, dtype=torch.float64)
    losses = torch.stack([viral_loss(logit.expand(1000), is_viral, weight) for logit in logits])
    assert torch.sigmoid(logits[losses.argmin()]).item() == pytest.approx(0.1, abs=2e-3)


def test_the_focal_loss_by_hand() -> None:
    logit, is_viral = torch.tensor([2.0, 2.0]), torch.tensor([1.0, 0.0])
    right = 1 / (1 + math.exp(-2))
    expected = ((1 - right) ** 2 * -math.log(right) + right**2 * -math.log(1 - right)) / 2
    assert viral_loss(logit, is_viral, gamma=2.0).item() == pytest.approx(expected, rel=1e-6)
    assert viral_loss(logit, is_viral, gamma=0.0).item() == pytest.approx(-(math.log(right) + math.log(1 - right)) / 2)
