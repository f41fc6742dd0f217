"""A small made-up test part, and the report on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from viral.evaluation.baselines import Predicted, Unavailable
from viral.evaluation.evaluate import Details, Forecast, Truth, evaluate
from viral.evaluation.report import About, Part, Report, Split

ABOUT = About(
    title="A model",
    model="fusion 1",
    viral="the top 30 % by views",
    score="log views",
    feature_set="small-1a2b",
    inputs=("caption", "image"),
    corpus="made-up posts",
    synthetic=False,
    data_hash="sha256:00",
    code_version="0.1.0",
)
SPLIT = Split(
    kind="time_author",
    gap_days=30,
    seed=0,
    parts=(
        Part(name="train", posts=400, authors=80, viral=0.3),
        Part(name="validation", posts=60, authors=20, viral=0.3),
        Part(name="test", posts=120, authors=30, viral=0.3),
        Part(name="unused", posts=12, authors=9),
    ),
)


def truth(count: int = 120, authors: int = 12) -> Truth:
    rng = np.random.default_rng(0)
    y = rng.normal(size=count)
    return Truth([f"post-{i}" for i in range(count)], rng.integers(authors, size=count), y, y > 0.5)


def forecast(actual: Truth, noise: float = 0.5, seed: int = 1) -> Forecast:
    score = actual.y + noise * np.random.default_rng(seed).normal(size=len(actual.y))
    return Forecast(1 / (1 + np.exp(0.5 - score)), score, score - 1, score + 1)


def baselines(actual: Truth) -> dict[str, Predicted | Unavailable]:
    weak, count = forecast(actual, 3, seed=2), len(actual.y)
    return {
        "constant": Predicted(np.full(count, 0.3), np.zeros(count)),
        "metadata_gbm": Predicted(weak.probability, weak.score),
        "hour_only": Unavailable("the corpus has no posting hour"),
    }


@pytest.fixture
def judge() -> Callable[..., Report]:
    """Makes a report; any argument of `evaluate` may be given instead of the usual one."""

    def make(**changes: Any) -> Report:
        actual = changes.pop("truth", None) or truth()
        model = changes.pop("model", None) or forecast(actual)
        others = changes.pop("baselines", None)
        usual: dict[str, Any] = {"about": ABOUT, "split": SPLIT, "resamples": 60, "details": Details()}
        return evaluate(actual, model, baselines(actual) if others is None else others, **(usual | changes))

    return make
