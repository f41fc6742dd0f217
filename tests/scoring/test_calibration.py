"""Calibration of a model, from few validation posts and from many."""

from __future__ import annotations

import json

import numpy as np
import pytest

from viral.evaluation.bootstrap.metrics import classification
from viral.scoring.calibration import CONFORMAL_FROM, Calibration, fit, log_odds
from viral.scoring.recalibrated_score import FLATTEST


def overconfident(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """An overconfident model: probabilities too extreme, intervals too narrow."""
    rng = np.random.default_rng(seed)
    seen = rng.normal(size=count)
    y = seen + rng.normal(size=count)
    quantiles = np.stack([seen - 0.7, seen, seen + 0.7], axis=1)
    return 1 / (1 + np.exp(-4 * seen)), quantiles, y, y > 1


def calibrated(count: int) -> Calibration:
    return fit(*overconfident(count), np.arange(count) // 3, base_rate=0.25, spread=(-2.0, 2.0))


@pytest.mark.parametrize("count", [200, 1000])
def test_probabilities_and_intervals_come_right(count: int) -> None:
    calibration = calibrated(count)
    assert calibration.method == "smooth"
    probability, quantiles, y, viral = overconfident(5000, seed=1)
    before, after = (classification(viral, p)["ece"] for p in (probability, calibration.probability(probability)))
    assert before is not None and before > 0.2
    assert after is not None and after < 0.06
    ends = calibration.quantiles(quantiles)
    assert 0.87 < ((ends[:, 0] <= y) & (y <= ends[:, 2])).mean() < 0.95
    assert (np.diff(ends, axis=1) >= 0).all()
    assert ends[:, 1] == pytest.approx(calibration.slope * quantiles[:, 1] + calibration.intercept)
    assert (calibration.slope, calibration.intercept) == (pytest.approx(1, abs=0.15), pytest.approx(0, abs=0.25))


def test_a_shrunk_score_is_stretched_and_one_without_skill_is_nearly_constant() -> None:
    probability, quantiles, y, viral = overconfident(500)
    given = (y, viral, np.arange(500))
    shrunk = fit(probability, quantiles / 2 + 3, *given, base_rate=0.2, spread=(0.0, 1.0))
    assert (shrunk.slope, shrunk.intercept) == (pytest.approx(2, abs=0.2), pytest.approx(-6, abs=0.6))
    _, fresh, truth, _ = overconfident(5000, seed=1)
    ends = shrunk.quantiles(fresh / 2 + 3)
    assert ((truth - ends[:, 1]) ** 2).mean() < 1.05
    assert 0.85 < ((ends[:, 0] <= truth) & (truth <= ends[:, 2])).mean() < 0.95
    assert (ends[:, 1] >= truth).mean() == pytest.approx(0.5, abs=0.06)
    backwards = fit(probability, -quantiles[:, ::-1], *given, base_rate=0.2, spread=(0.0, 1.0))
    assert backwards.slope == FLATTEST


def test_order_is_kept_and_nobody_is_told_zero_or_one() -> None:
    raw = np.linspace(0, 1, 500)
    for count in (200, 1000):
        calibration = calibrated(count).probability(raw)
        assert (np.diff(calibration) >= 0).all()
        assert 0 < calibration.min() < calibration.max() < 1


def test_too_few_posts_correct_nothing() -> None:
    few = calibrated(CONFORMAL_FROM - 1)
    assert (few.method, few.conformal, few.below, few.above) == ("none", False, 0.0, 0.0)
    # Few posts do not pretend: the interval is at least that of all training posts.
    assert few.quantiles(np.array([[-0.5, 0.0, 0.5]])).tolist() == [[-2.0, 0.0, 2.0]]
    raw = np.array([0.1, 0.9])
    assert few.probability(raw).tolist() == raw.tolist()
    probability, quantiles, y, _ = overconfident(100)
    one_class = fit(probability, quantiles, y, np.zeros(100, bool), np.arange(100), base_rate=0.0, spread=(0.0, 1.0))
    assert (one_class.method, one_class.conformal) == ("none", True)


def test_a_worthless_order_gets_one_probability() -> None:
    probability, quantiles, y, viral = overconfident(200)
    backwards = fit(1 - probability, quantiles, y, viral, np.arange(200), base_rate=0.2, spread=(0.0, 1.0))
    probabilities = backwards.probability(np.array([0.1, 0.5, 0.9]))
    assert probabilities == pytest.approx(np.full(3, viral.mean()))


def test_percentiles_by_hand() -> None:
    y = np.arange(5.0)
    raw = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    calibration = fit(raw, np.stack([y, y, y], axis=1), y, y > 3, np.arange(5), base_rate=0.2, spread=(0.0, 4.0))
    assert calibration.percentile(np.array([0.05, 0.3, 0.99])).tolist() == pytest.approx([0, 50, 100])
    # Half way between the second and the third in log odds.
    between = 1 / (1 + np.exp(-log_odds(np.array([0.2, 0.3])).mean()))
    assert calibration.percentile(np.array([between]))[0] == pytest.approx(40)


def test_percentiles_of_a_model_that_says_one_thing() -> None:
    y = np.arange(50.0)
    calibration = fit(np.full(50, 0.3), np.zeros((50, 3)), y, y > 40, np.arange(50), base_rate=0.2, spread=(0.0, 4.0))
    assert calibration.percentile(np.array([0.2, 0.3, 0.4])).tolist() == [0, 50, 100]


def test_kept_as_json() -> None:
    calibration = calibrated(1500)
    assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration


def test_what_an_earlier_version_stored_scores_as_before() -> None:
    stored = {
        "method": "isotonic",
        "knots": [-1.0, 1.0],
        "values": [0.2, 0.6],
        "below": 0.5,
        "above": 0.25,
        "conformal": False,
        "reference": [-1.0, 0.0, 1.0],
        "base_rate": 0.25,
        "spread": [-9.0, 9.0],
        "posts": 3,
        "gaps": None,
    }
    old = Calibration.from_dict(stored)
    assert old.probability(np.array([0.5, 0.999])).tolist() == [0.4, 0.6]
    assert old.quantiles(np.array([[-1.0, 0.0, 1.0]])).tolist() == [[-1.5, 0.0, 1.25]]
    sigmoid = Calibration.from_dict(stored | {"method": "sigmoid", "values": [0.5, 0.0]})
    assert sigmoid.probability(np.array([0.9]))[0] == pytest.approx(0.75)
