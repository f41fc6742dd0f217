"""A small synthetic test split, and the report on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from viral.evaluation.ablation import MaskedPredictions, ablate
from viral.evaluation.baselines.baselines import Unavailable
from viral.evaluation.evaluate import Details, evaluate
from viral.evaluation.groups import group_calibration
from viral.evaluation.labels import Labels
from viral.evaluation.report.report import About, Report, Split, SplitPart
from viral.evaluation.report.sections import Card, Input
from viral.evaluation.threshold_sensitivity import evaluate_thresholds
from viral.models.predictions import PredictionBatch

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
        SplitPart(name="train", posts=400, authors=80, viral=0.3),
        SplitPart(name="validation", posts=60, authors=20, viral=0.3),
        SplitPart(name="test", posts=120, authors=30, viral=0.3),
        SplitPart(name="unused", posts=12, authors=9),
    ),
)


def make_labels(count: int = 120, authors: int = 12) -> Labels:
    rng = np.random.default_rng(0)
    y = rng.normal(size=count)
    return Labels([f"post-{i}" for i in range(count)], rng.integers(authors, size=count), y, y > 0.5)


def make_predictions(labels: Labels, noise: float = 0.5, seed: int = 1) -> PredictionBatch:
    score = labels.y + noise * np.random.default_rng(seed).normal(size=len(labels.y))
    return PredictionBatch(1 / (1 + np.exp(0.5 - score)), score, score - 1, score + 1)


def baselines(labels: Labels) -> dict[str, PredictionBatch | Unavailable]:
    weak, count = make_predictions(labels, 3, seed=2), len(labels.y)
    return {
        "constant": PredictionBatch(np.full(count, 0.3), np.zeros(count)),
        "metadata_gbm": PredictionBatch(weak.probability, weak.score),
        "hour_only": Unavailable("the corpus has no posting hour"),
    }


def with_all_sections(report: Report, name: str = "text") -> Report:
    """The report with every optional section; `name` stands for each untrusted name."""
    labels, model = make_labels(), make_predictions(make_labels())
    deaf = MaskedPredictions((name,), model.probability, model.score)
    blind = MaskedPredictions(("editing",), np.full(120, np.nan), np.full(120, np.nan))
    card = Card(
        kind="network",
        architecture=name,
        settings={name: name},
        label={name: name},
        fitted={name: 1.0},
        inputs=(Input(name=name, modality=name, dim=3, version=name, weights=name),),
        unseen=(name,),
        training={name: name},
        data_hash=name,
        code_version=name,
        sources=(name,),
    )
    sections = {
        "ablation": ablate(labels, model, [deaf, blind], (0.3, 0.0), resamples=20),
        "thresholds": evaluate_thresholds(labels, model, labels.y, resamples=20),
        "groupings": (group_calibration("language", [name] * 90 + ["other"] * 30, labels, model, resamples=20),),
        "card": card,
        "calibration": {name: name},
    }
    return report.model_copy(update=sections)


@pytest.fixture
def full_report(judge: Callable[..., Report]) -> Report:
    """The report with every section."""
    return with_all_sections(judge(resamples=20))


@pytest.fixture
def judge() -> Callable[..., Report]:
    """Builds a report; keyword arguments replace those of `evaluate`."""

    def build(**changes: Any) -> Report:
        labels = changes.pop("labels", None) or make_labels()
        model = changes.pop("model", None) or make_predictions(labels)
        systems = changes.pop("baselines", None)
        defaults: dict[str, Any] = {"about": ABOUT, "split": SPLIT, "resamples": 60, "details": Details()}
        return evaluate(labels, model, baselines(labels) if systems is None else systems, **(defaults | changes))

    return build
