"""Affine recalibration of a model's score: regularised models say too little of what they know.

A network that stops early shrinks its scores to the mean: the slope of the label on the score is then above 1 (1.98 was
seen), and its squared error is needlessly large. The order of the posts stays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from viral.scoring.author_weights import author_weights
from viral.scoring.conformal import weighted_quantiles

Floats = npt.NDArray[np.float64]

PRIOR = 10.0  # effective posts that say that the score is right as it is
FLATTEST = 0.05  # a score that says nothing is nearly the median for all posts, and still keeps their order
STEEPEST = 4.0  # a steeper slope is noise: such a score hardly varies
RECALIBRATED_FROM = 20  # posts: with fewer, the score stays


def fit_affine(score: Floats, y: Floats, authors: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Fit slope and intercept on posts that the model was not trained on, weighted by their authors.

    The slope is that of least squares, drawn towards 1; the intercept leaves half of the weight above the score, since
    a score is a median. A score without skill becomes constant, never reversed.

    Args:
        score: (N,), raw.
        y: the label, (N,).
        authors: code of each post's author, (N,).
    """
    if len(y) < RECALIBRATED_FROM or not np.ptp(score):
        return 1.0, 0.0
    weights = author_weights(y - score, authors)
    centred = score - np.average(score, weights=weights)
    variance = float(np.average(centred**2, weights=weights))
    covariance = float(np.average(centred * y, weights=weights))
    effective = float(weights.sum())
    slope = (effective * covariance / variance + PRIOR) / (effective + PRIOR)
    slope = float(np.clip(slope, FLATTEST, STEEPEST))
    return slope, float(weighted_quantiles(y - slope * score, weights, np.array([0.5]))[0])
