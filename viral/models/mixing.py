"""Weighted average of several models, with weights learned on posts that none of them was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from viral.errors import ConfigError
from viral.models.predictions import Floats, PredictionBatch

LossAndGradient = Callable[[Floats], tuple[float, Floats]]
RESAMPLES = 40  # bootstrap resamples to average over: each costs three optimisations over all posts
_EPSILON = 1e-6  # probabilities are clipped to this distance from 0 and 1: the log loss stays finite
_NEGLIGIBLE = 1e-4  # the solver returns smaller weights where the best weight is zero


@dataclass(frozen=True)
class MixingWeights:
    """Weights (M,) of M models for the probability, the score and the interval: non-negative, with the sum 1."""

    probability: Floats
    score: Floats
    interval: Floats

    def to_dict(self, index: int) -> dict[str, float]:
        """Return the weights of one model, by prediction."""
        return {field.name: float(getattr(self, field.name)[index]) for field in fields(self)}

    @classmethod
    def from_dicts(cls, weights: Sequence[Mapping[str, float]]) -> Self:
        """Build from the `to_dict` of each model; models of weight zero may be left out."""
        return cls(**{field.name: np.array([model[field.name] for model in weights]) for field in fields(cls)})


def learn_weights(predictions: Sequence[PredictionBatch], viral: npt.NDArray[np.bool_], score: Floats) -> MixingWeights:
    """Find the weights with the least log loss, squared error and quantile loss on these posts.

    They are averaged over bootstrap resamples: the best weights for one sample overfit it, and often select a single
    model. Source: Breiman 1996, Stacked regressions and Bagging predictors.
    """
    probabilities = np.stack([prediction.probability for prediction in predictions], axis=1)
    quantiles = np.stack([prediction.quantiles for prediction in predictions], axis=1)
    # A fixed seed: the same predictions give the same weights.
    rng = np.random.default_rng(0)
    weights = []
    for _ in range(RESAMPLES):
        rows = rng.integers(len(score), size=len(score))
        losses = (
            _log_loss(probabilities[rows], viral[rows]),
            _squared_error(quantiles[rows, :, 1], score[rows]),
            _pinball(quantiles[rows], score[rows]),
        )
        weights.append([_minimise(loss, len(predictions)) for loss in losses])
    return MixingWeights(*np.mean(weights, axis=0))


def normalise_weights(names: Sequence[str], weights: Mapping[str, float]) -> MixingWeights:
    """Normalise weights set by the user, for the probability, the score and the interval alike.

    Raises:
        ConfigError: an unknown name, or a weight that is negative or not finite, or only zeros.
    """
    if unknown := [name for name in weights if name not in names]:
        raise ConfigError(f"no member is named {unknown[0]!r}: choose from {', '.join(names)}")
    values = np.array([weights.get(name, 0.0) for name in names], np.float64)
    if not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise ConfigError("weights of members must be 0 or more, and not all 0")
    values = values / values.sum()
    return MixingWeights(values, values, values)


def mix(
    predictions: Sequence[PredictionBatch], weights: MixingWeights, has_inputs: npt.NDArray[np.bool_] | None = None
) -> PredictionBatch:
    """Average the predictions of M models.

    Args:
        predictions: one per model, on the same N posts.
        weights: of the models.
        has_inputs: (N, M), whether a post has any input of a model; true for at least one model per post. None: all.
    """
    if has_inputs is None:
        has_inputs = np.ones((len(predictions[0].probability), len(predictions)), bool)
    probability, middle, low, high = (
        sum(
            weight * values for weight, values in zip(redistribute(model_weights, has_inputs).T, per_model, strict=True)
        )
        for model_weights, per_model in (
            (weights.probability, [prediction.probability for prediction in predictions]),
            (weights.score, [prediction.score for prediction in predictions]),
            (weights.interval, [prediction.quantiles[:, 0] for prediction in predictions]),
            (weights.interval, [prediction.quantiles[:, 2] for prediction in predictions]),
        )
    )
    return PredictionBatch(
        # The median and the ends have different weights, so a mixed end might cross the median.
        np.clip(np.asarray(probability), 0, 1),
        np.asarray(middle),
        np.minimum(low, middle),
        np.maximum(high, middle),
    )


def redistribute(weights: Floats, has_inputs: npt.NDArray[np.bool_]) -> Floats:
    """Normalise weights, (M,) or (N, M), over the models with inputs of each post; equal if all of these are 0."""
    masked = weights * has_inputs
    total = masked.sum(axis=1, keepdims=True)
    equal = has_inputs / has_inputs.sum(axis=1, keepdims=True)
    return np.where(total > 0, masked / np.where(total > 0, total, 1), equal)


def _log_loss(probabilities: Floats, viral: npt.NDArray[np.bool_]) -> LossAndGradient:
    # The likelihood of a mixture is linear in the weights, so the log loss is convex.
    likelihood = np.clip(np.where(viral[:, None], probabilities, 1 - probabilities), _EPSILON, 1)

    def loss(weights: Floats) -> tuple[float, Floats]:
        """Return the log loss of the mixed probability, and its gradient (M,)."""
        mixed = np.clip(likelihood @ weights, _EPSILON, None)
        return float(-np.log(mixed).mean()), -(likelihood / mixed[:, None]).mean(axis=0)

    return loss


def _squared_error(medians: Floats, score: Floats) -> LossAndGradient:
    def loss(weights: Floats) -> tuple[float, Floats]:
        """Return the squared error of the mixed median, and its gradient (M,)."""
        error = medians @ weights - score
        return float((error**2).mean()), 2 * (error[:, None] * medians).mean(axis=0)

    return loss


def _pinball(quantiles: Floats, score: Floats) -> LossAndGradient:
    from viral.models.fusion_config import QUANTILES

    def loss(weights: Floats) -> tuple[float, Floats]:
        """Return the quantile loss of both mixed ends, and its gradient (M,)."""
        value, gradient = 0.0, np.zeros(len(weights))
        # The lower and the upper end; the median is learned by the squared error.
        for index in (0, 2):
            error, level = score - quantiles[:, :, index] @ weights, QUANTILES[index]
            slope = np.where(error > 0, level, level - 1)
            value += float((slope * error).mean())
            gradient -= (slope[:, None] * quantiles[:, :, index]).mean(axis=0)
        return value, gradient

    return loss


def _minimise(loss: LossAndGradient, count: int) -> Floats:
    """Minimise over weights that sum to 1; the result is never worse than a single model or equal weights."""
    from scipy.optimize import minimize

    start = np.full(count, 1 / count)
    sums = {"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": lambda _: np.ones(count)}
    result = minimize(loss, start, jac=True, method="SLSQP", bounds=[(0, 1)] * count, constraints=[sums])
    # The solver may fail or stop early: the simple answers compete with its own.
    candidates = [start, *np.eye(count), *([_onto_simplex(result.x)] if np.isfinite(result.x).all() else [])]
    return min(candidates, key=lambda weights: loss(weights)[0])


def _onto_simplex(weights: Floats) -> Floats:
    positive: Floats = np.maximum(weights, 0)
    positive[positive < _NEGLIGIBLE] = 0
    return np.asarray(positive / positive.sum())
