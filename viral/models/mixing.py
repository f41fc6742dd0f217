"""Several models to one: weights that are learnt on posts that none of them was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from viral.errors import ConfigError
from viral.models.predictions import Floats, PredictionBatch

Loss = Callable[[Floats], tuple[float, Floats]]
RESAMPLES = 40
_SURE = 1e-6  # a probability is never taken to be nearer to 0 or 1


@dataclass(frozen=True)
class Weights:
    """Of M models, each (M,), not negative and summing to one: for the probability, the score, the interval's ends."""

    probability: Floats
    score: Floats
    interval: Floats

    def of(self, at: int) -> dict[str, float]:
        """Those of one model, by what they are for."""
        return {each.name: float(getattr(self, each.name)[at]) for each in fields(self)}

    @classmethod
    def made(cls, several: Sequence[Mapping[str, float]]) -> Self:
        """From what `of` gave of each model. Those that weigh nothing may be left out, but not all the others."""
        return cls(**{each.name: np.array([one[each.name] for one in several]) for each in fields(cls)})


def learn(opinions: Sequence[PredictionBatch], viral: npt.NDArray[np.bool_], score: Floats) -> Weights:
    """The weights that are best on these posts: by log loss, by squared error, and by the quantile loss of the ends.

    They are averages over resamples of the posts: the best weights of one sample alone follow its luck, and often give
    all to one model. Source: Breiman 1996, Stacked regressions and Bagging predictors.
    """
    probabilities = np.stack([each.probability for each in opinions], axis=1)
    quantiles = np.stack([each.quantiles for each in opinions], axis=1)
    chance = np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLES):
        at = chance.integers(len(score), size=len(score))
        losses = (
            _log_loss(probabilities[at], viral[at]),
            _squared(quantiles[at, :, 1], score[at]),
            _pinball(quantiles[at], score[at]),
        )
        found.append([_best(loss, len(opinions)) for loss in losses])
    return Weights(*np.mean(found, axis=0))


def given(names: Sequence[str], weights: Mapping[str, float]) -> Weights:
    """Those weights, made to sum to one; for all that is said.

    Raises:
        ConfigError: a name that is not there, or weights that cannot be.
    """
    if unknown := [name for name in weights if name not in names]:
        raise ConfigError(f"a weight is given to {unknown[0]!r}, which is no member: there are {', '.join(names)}")
    values = np.array([weights.get(name, 0.0) for name in names], np.float64)
    if not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise ConfigError("weights of members must be 0 or more, and not all 0")
    values = values / values.sum()
    return Weights(values, values, values)


def mix(
    opinions: Sequence[PredictionBatch], weights: Weights, able: npt.NDArray[np.bool_] | None = None
) -> PredictionBatch:
    """One opinion of several.

    Args:
        opinions: of M models on N posts.
        weights: of the models.
        able: (N, M), whether a model can say anything of a post; of each post one can. None: all can.
    """
    there = np.ones((len(opinions[0].probability), len(opinions)), bool) if able is None else able
    probability = sum(
        share * each.probability for share, each in zip(_shares(weights.probability, there), opinions, strict=True)
    )
    middle, low, high = (
        sum(share * each.quantiles[:, at] for share, each in zip(_shares(weight, there), opinions, strict=True))
        for weight, at in ((weights.score, 1), (weights.interval, 0), (weights.interval, 2))
    )
    quantiles = np.stack([np.minimum(low, middle), middle, np.maximum(high, middle)], axis=1)
    return PredictionBatch.from_quantiles(np.clip(np.asarray(probability), 0, 1), quantiles)


def shares_of(weights: Floats, able: npt.NDArray[np.bool_]) -> Floats:
    """The weights (N, M) of those that are able (N, M), summing to one; even where they weigh nothing."""
    left = weights * able
    total = left.sum(axis=1, keepdims=True)
    even = able / able.sum(axis=1, keepdims=True)
    return np.where(total > 0, left / np.where(total > 0, total, 1), even)


def _shares(weights: Floats, able: npt.NDArray[np.bool_]) -> Floats:
    return shares_of(weights, able).T


def _log_loss(probabilities: Floats, viral: npt.NDArray[np.bool_]) -> Loss:
    right = np.clip(np.where(viral[:, None], probabilities, 1 - probabilities), _SURE, 1)

    def loss(weights: Floats) -> tuple[float, Floats]:
        mixed = np.clip(right @ weights, _SURE, None)
        return float(-np.log(mixed).mean()), -(right / mixed[:, None]).mean(axis=0)

    return loss


def _squared(middles: Floats, score: Floats) -> Loss:
    def loss(weights: Floats) -> tuple[float, Floats]:
        error = middles @ weights - score
        return float((error**2).mean()), 2 * (error[:, None] * middles).mean(axis=0)

    return loss


def _pinball(quantiles: Floats, score: Floats) -> Loss:
    from viral.models.fusion_config import QUANTILES

    def loss(weights: Floats) -> tuple[float, Floats]:
        value, slope = 0.0, np.zeros(len(weights))
        for at in (0, 2):
            error, level = score - quantiles[:, :, at] @ weights, QUANTILES[at]
            side = np.where(error > 0, level, level - 1)
            value += float((side * error).mean())
            slope -= (side[:, None] * quantiles[:, :, at]).mean(axis=0)
        return value, slope

    return loss


def _best(loss: Loss, count: int) -> Floats:
    """The weights of least loss: no worse than any one model alone, or all alike."""
    from scipy.optimize import minimize

    start = np.full(count, 1 / count)
    sums = {"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": lambda _: np.ones(count)}
    found = minimize(loss, start, jac=True, method="SLSQP", bounds=[(0, 1)] * count, constraints=[sums])
    tried = [start, *np.eye(count), *([_on_simplex(found.x)] if np.isfinite(found.x).all() else [])]
    return min(tried, key=lambda weights: loss(weights)[0])


def _on_simplex(weights: Floats) -> Floats:
    held: Floats = np.maximum(weights, 0)
    held[held < 1e-4] = 0  # what is left of a zero after the solver's last step
    return np.asarray(held / held.sum())
