"""Simulated corpora in which the errors of a model depend on the author, and on the predicted level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from viral.scoring.calibration import Calibration, fit

TOP = 0.8  # log views above this count as viral: about a quarter


@dataclass(frozen=True)
class AuthorSample:
    """Posts with an overconfident model's predictions."""

    probability: np.ndarray
    quantiles: np.ndarray
    y: np.ndarray
    authors: np.ndarray

    @property
    def viral(self) -> np.ndarray:
        return self.y > TOP


def draw_authors(rng: np.random.Generator, count: int, *, spread: float = 0.3) -> AuthorSample:
    """Draw authors with 1 to 60 posts; 40 % of the error's variance is the author's; its size rises with the level."""
    authors = np.repeat(np.arange(count), np.minimum(rng.geometric(0.15, count), 60))
    score = 0.7 * (rng.normal(size=count)[authors] + rng.normal(size=len(authors)))
    tails = rng.standard_t(5, len(authors)) / np.sqrt(5 / 3)
    error = np.sqrt(0.4) * rng.normal(size=count)[authors] + np.sqrt(0.6) * tails
    quantiles = np.stack([score - 1.2, score, score + 1.2], axis=1)
    return AuthorSample(
        1 / (1 + np.exp(-3 * (score - TOP))), quantiles, score + np.exp(spread * score) * error, authors
    )


def calibrate_sample(sample: AuthorSample) -> Calibration:
    """Fit a calibration on it."""
    given = (sample.probability, sample.quantiles, sample.y, sample.viral, sample.authors)
    return fit(*given, base_rate=float(sample.viral.mean()), spread=(-3.0, 3.0))


def covered(calibration: Calibration, test: AuthorSample) -> tuple[float, float, float]:
    """Coverage per post and per author, and the mean width."""
    ends = calibration.quantiles(test.quantiles)
    inside = (ends[:, 0] <= test.y) & (test.y <= ends[:, 2])
    per_author = np.bincount(test.authors, inside) / np.bincount(test.authors)
    return float(inside.mean()), float(per_author.mean()), float((ends[:, 2] - ends[:, 0]).mean())
