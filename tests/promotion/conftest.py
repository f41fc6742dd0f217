"""Fake models with predictions of test posts: some better than others by a known amount."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.evaluation.conftest import ABOUT, SPLIT
from viral.evaluation import test_predictions
from viral.evaluation.evaluate import evaluate
from viral.evaluation.labels import Labels
from viral.evaluation.report.report import Report
from viral.evaluation.splits import author_codes
from viral.models.predictions import PredictionBatch
from viral.registry.registry import Registry
from viral.storage.store import Store

Save = Callable[..., int]

LABEL = {"name": "log_views", "spec": {"definition": "log_views"}, "split": {"kind": "author"}, "fitted": {}}
CARD = {
    "kind": "network",
    "label": LABEL,
    "rows": 1000,
    "data_hash": "aa",
    "code_version": "0.1.0",
    "config": {"architecture": "gated"},
    "train": {"learning_rate": 0.1},
    "losses": [[3.0, 3.5], [2.0, 2.5]],
    "sources": ["csv"],
    "notes": [],
}


def make_predictions(noise: float, *, posts: int = 300, authors: int = 30, seed: int = 1) -> pa.Table:
    """Posts of two splits, with the predictions of a model whose error is `noise`."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=posts)
    score = target + noise * np.random.default_rng(seed).normal(size=posts)
    columns = {
        "post_id": [f"post-{number:03d}" for number in range(posts)],
        "author_id": [f"author-{number % authors}" for number in range(posts)],
        "split": ["train" if number % 10 == 0 else "test" for number in range(posts)],
        "target": target,
        "is_viral": target > 0.7,
        "probability": 1 / (1 + np.exp(0.7 - score)),
        "score": score,
        "low": score - 1.6,
        "high": score + 1.6,
    }
    return pa.table(columns).take(rng.permutation(posts))


@pytest.fixture(scope="session")
def save() -> Save:
    """Saves a version whose error is `noise`, with its predictions of the test posts; returns the version."""

    def make(store: Store, name: str, noise: float, *, seed: int = 1, rows: pa.Table | None = None, **card: Any) -> int:
        version = Registry(store).save(name, {**CARD, **card}, b"weights")
        test_predictions.save(store, name, version, make_predictions(noise, seed=seed) if rows is None else rows)
        return version

    return make


def write_scorecard(store: Store, name: str, version: int, noise: float) -> Report:
    """Write the scorecard of a model whose error is `noise`, as `viral evaluate` does."""
    rows = make_predictions(noise)
    columns = {name: rows[name].to_numpy(zero_copy_only=False) for name in rows.column_names}
    labels = Labels(columns["post_id"].tolist(), author_codes(rows), columns["target"], columns["is_viral"])
    predictions = PredictionBatch(*(columns[name] for name in ("probability", "score", "low", "high")))
    report = evaluate(labels, predictions, {}, about=ABOUT, split=SPLIT, resamples=5)
    store.write(Registry.key(name, version, "scorecard.json"), report.to_json().encode())
    return report
