"""Read the metrics of a stored scorecard."""

from __future__ import annotations

from viral.evaluation.bootstrap.by_author import Estimate
from viral.registry.registry import Registry
from viral.storage.store import Store, read_json

FILE = "scorecard.json"
MAIN_METRICS = ("roc_auc", "spearman", "rmse", "brier", "coverage")  # columns of `viral models list`


def read_metrics(store: Store, name: str, version: int) -> dict[str, Estimate]:
    """Return all metrics of a model version with their intervals; empty if it was not evaluated."""
    scorecard = read_json(store, Registry.key(name, version, FILE)) or {"systems": []}
    # `figures` is the stored name of the metrics.
    stored = (system["figures"] for system in scorecard["systems"] if system["name"] == "model")
    return {metric: Estimate(**estimate) for metric, estimate in next(stored, {}).items()}
