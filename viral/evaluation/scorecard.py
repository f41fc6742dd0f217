"""The figures of a model's scorecard, read back from the root."""

from __future__ import annotations

from viral.evaluation.bootstrap.by_author import Estimate
from viral.registry.registry import Registry
from viral.storage.store import Store, read_json

FILE = "scorecard.json"
MAIN = ("roc_auc", "spearman", "rmse", "brier", "coverage")
"""What a model is known by at a glance."""


def figures(store: Store, name: str, version: int) -> dict[str, Estimate]:
    """All figures of a version, each with its interval; none where it was not evaluated."""
    written = read_json(store, Registry.key(name, version, FILE)) or {"systems": []}
    judged = (system["figures"] for system in written["systems"] if system["name"] == "model")
    return {figure: Estimate(**estimate) for figure, estimate in next(judged, {}).items()}
