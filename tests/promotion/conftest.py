"""Models that nobody trained, with what they say of test posts: some better than others by a known amount."""

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


def judged(noise: float, *, posts: int = 300, authors: int = 30, seed: int = 1) -> pa.Table:
    """Posts of two parts, and what a model says of them that errs by that much."""
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
    """Saves a version of a model that errs by so much, with what it says of its test posts; gives its number."""

    def make(store: Store, name: str, noise: float, *, seed: int = 1, rows: pa.Table | None = None, **card: Any) -> int:
        version = Registry(store).save(name, {**CARD, **card}, b"weights")
        test_predictions.save(store, name, version, judged(noise, seed=seed) if rows is None else rows)
        return version

    return make


def write_scorecard(store: Store, name: str, version: int, noise: float) -> Report:
    """The scorecard of a model that errs by so much, as `viral evaluate` writes it."""
    told = judged(noise)
    columns = {each: told[each].to_numpy(zero_copy_only=False) for each in told.column_names}
    truth = Labels(columns["post_id"].tolist(), author_codes(told), columns["target"], columns["is_viral"])
    said = PredictionBatch(*(columns[each] for each in ("probability", "score", "low", "high")))
    report = evaluate(truth, said, {}, about=ABOUT, split=SPLIT, resamples=5)
    store.write(Registry.key(name, version, "scorecard.json"), report.to_json().encode())
    return report
