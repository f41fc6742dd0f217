"""Calibrated probabilities by three smooth parameters, with posts weighted by their authors.

Beta calibration (Kull et al. 2017, https://proceedings.mlr.press/v54/kull17a.html): the log odds become
a ln(p) - b ln(1 - p) + c. It is monotone and smooth, so unlike isotonic regression it gives no step and no extreme that
a handful of posts decide.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from viral.scoring.author_weights import author_weights

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

PRIOR = 2.0  # strength of the pull towards the raw probabilities: of about ten effective posts, a quarter of them viral


def fit_beta(odds: Floats, viral: Bools, authors: Ints) -> tuple[float, float, float, float]:
    """Fit on raw log odds (N,): a, b, c, and the least probability that is ever given.

    For a model without skill, a and b are 0 and c says the base rate.
    """
    from scipy.optimize import minimize

    weights = author_weights(viral - _expit(odds), authors)
    effective = float(weights.sum())
    edge = 1 / (effective + 2)  # Laplace's rule of succession: never 0 or 1
    rate = float((weights * viral).sum() / effective)
    # Turned around, the order would be another model's.
    if not _rises(odds, viral, weights):
        return 0.0, 0.0, float(np.log(rate / (1 - rate))), edge
    features = _features(odds)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        """Return the log loss with its prior, and its gradient (3,)."""
        logits = features @ parameters
        away = parameters - np.array([1.0, 1.0, 0.0])
        value = (weights * (np.logaddexp(0, logits) - viral * logits)).sum() + PRIOR / 2 * (away**2).sum()
        return float(value), features.T @ (weights * (_expit(logits) - viral)) + PRIOR * away

    bounds = [(0, None), (0, None), (None, None)]  # both rise, so that the order is kept
    a, b, c = minimize(loss, np.array([1.0, 1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(a), float(b), float(c), edge


def apply_beta(odds: Floats, values: tuple[float, ...]) -> Floats:
    """Calibrate raw log odds (N,) with what `fit_beta` returned."""
    a, b, c, edge = values
    return np.asarray(np.clip(_expit(_features(odds) @ np.array([a, b, c])), edge, 1 - edge))


def _features(odds: Floats) -> Floats:
    """ln(p), -ln(1 - p) and 1: (N, 3)."""
    return np.stack([-np.logaddexp(0, -odds), np.logaddexp(0, odds), np.ones(len(odds))], axis=1)


def _rises(odds: Floats, viral: Bools, weights: Floats) -> bool:
    centred = odds - np.average(odds, weights=weights)
    return bool((weights * centred * viral).sum() > 0)


def _expit(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-odds)))
