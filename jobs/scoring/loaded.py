"""Scorers, loaded once per worker process, and rows of the predictions table."""

from __future__ import annotations

from functools import cache
from typing import Any

from viral.registry.registry import Registry
from viral.scoring.scorer import CALIBRATION, Scored, Scorer
from viral.storage.store import Store


def loaded_scorer(root: str, model: str) -> Scorer:
    """One load a worker process, and another once the model is calibrated."""
    name, _, version = model.partition("/")
    return _loaded(root, model, Store(root).exists(Registry.key(name, int(version), CALIBRATION)))


@cache
def _loaded(root: str, model: str, calibrated: bool) -> Scorer:
    del calibrated
    return Scorer.load(Store(root), model)


@cache
def raw_scorer(root: str, model: str) -> Scorer:
    """The same, its words left as the model itself says them."""
    return Scorer(Registry(Store(root)).load(model), raw=True)


def prediction_row(post_id: str, scored: Scored) -> dict[str, Any]:
    """A row of the predictions table."""
    return {
        "post_id": post_id,
        "probability": scored.probability,
        "score": scored.score,
        "low": scored.low,
        "high": scored.high,
        "percentile": scored.percentile,
        "known": scored.known,
        "present": list(scored.modalities),
        "missing": list(scored.missing),
        "shares": list(scored.modalities.items()),
        "model": scored.model,
    }
