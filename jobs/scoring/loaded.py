"""Scorers cached per worker process, and rows of the predictions table."""

from __future__ import annotations

from functools import cache
from typing import Any

from viral.registry.registry import Registry
from viral.scoring.scorer import CALIBRATION, Score, Scorer
from viral.storage.store import Store


def loaded_scorer(root: str, model: str) -> Scorer:
    """Load a model once per worker process, and again after it is calibrated."""
    name, _, version = model.partition("/")
    # Whether it is calibrated is part of the cache's key: a worker may have loaded it before the calibration.
    return _load(root, model, Store(root).exists(Registry.key(name, int(version), CALIBRATION)))


@cache
def _load(root: str, model: str, calibrated: bool) -> Scorer:
    del calibrated  # only part of the cache key
    return Scorer.load(Store(root), model)


@cache
def raw_scorer(root: str, model: str) -> Scorer:
    """Load a model without its calibration, once per worker process."""
    return Scorer(Registry(Store(root)).load(model), raw=True)


def prediction_row(post_id: str, score: Score) -> dict[str, Any]:
    """Convert a score to a row of the predictions table."""
    return {
        "post_id": post_id,
        "probability": score.probability,
        "score": score.score,
        "low": score.low,
        "high": score.high,
        "percentile": score.percentile,
        "known": score.in_distribution,
        "present": list(score.modalities),
        "missing": list(score.missing),
        "shares": list(score.modalities.items()),
        "model": score.model,
    }
