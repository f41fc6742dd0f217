"""Build the page of a study from the scorecards of its models, and the summary that the command prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

import viral
from jobs.studying.spec import StudySpec
from jobs.studying.steps import Experiment
from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report.report import Report
from viral.evaluation.study.study import LabelResult, SplitResult, Study, flattery
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import labels_prefix
from viral.tables.schemas import LABELS

CROWDED = 0.01  # lowest hundredth of the range of training labels: labels in it hardly differ
Scorecards = Mapping[Experiment, tuple[Report, str]]
"""Scorecard of each experiment, and the path of its page relative to the study's folder."""


@dataclass
class StudySummary:
    """URIs and main results of a study. `skipped` maps each model that could not be trained to the reason."""

    html: str
    json: str
    posts: int
    models: int
    reused: int
    headline: dict[str, str] = field(default_factory=dict)
    random: dict[str, str] = field(default_factory=dict)
    flattery: dict[str, str] = field(default_factory=dict)
    constant: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def build_study(spec: StudySpec, store: Store, cards: Scorecards, skipped: dict[str, str]) -> Study:
    """Build the content of the study's page."""
    results = {
        key: SplitResult.from_report(card, seed=key.seed, author_fraction=key.author_fraction, scorecard=page)
        for key, (card, page) in cards.items()
    }

    def select(experiments: Iterable[Experiment]) -> tuple[SplitResult, ...]:
        """Results of those experiments that ran, in order."""
        return tuple(results[key] for key in experiments if key in results)

    # The headline is there: an error in it stops the study.
    card, headline = cards[spec.headline][0], results[spec.headline]
    # Missing if it could not be trained; then the page has no comparison with it.
    random = next((result for result in select(spec.by_split) if result.split == "random"), None)
    return Study(
        title=f"Study of {spec.name}",
        model=spec.recipe.kind,
        **{name: getattr(card.about, name) for name in ("score", "corpus", "feature_set", "inputs", "synthetic")},
        gap_days=spec.gap_days,
        level=card.settings.level,
        resamples=spec.resamples,
        code_version=viral.__version__,
        splits=select(spec.by_split),
        skipped=skipped,
        flattery=flattery(headline, random),
        seeds=select(spec.by_seed),
        curve=select(spec.learning_curve),
        labels=tuple(_label_result(store, key, cards[key][0], results[key]) for key in spec.by_label if key in cards),
    )


def _label_result(store: Store, experiment: Experiment, card: Report, result: SplitResult) -> LabelResult:
    """Describe a label's training values, one number per post, which this machine reads all at once."""
    table, _ = replaced.open_current(store, labels_prefix(experiment.label_table), LABELS)
    parts = [rows.filter(pc.equal(rows["split"], "train"))["target"] for rows in table.scan(["split", "target"])]
    values = np.concatenate([part.to_numpy() for part in parts])
    # From the least to the largest training target.
    extent = float(np.ptp(values))
    return LabelResult(
        definition=experiment.label.definition,
        viral=card.about.viral,
        crowded=float((values - values.min() <= CROWDED * extent).mean()),
        extent=extent,
        result=result,
    )


def summarise(store: Store, prefix: str, study: Study, models: int, reused: int) -> StudySummary:
    """Build the summary of the main results."""
    random = next((split for split in study.splits if split.split == "random"), None)
    constant = {label.definition: label.result.metric("constant", "rmse") for label in study.labels}
    return StudySummary(
        html=store.uri(f"{prefix}/study.html"),
        json=store.uri(f"{prefix}/study.json"),
        posts=sum(part.posts for part in study.headline.parts),
        models=models,
        reused=reused,
        headline=_lines(study.headline),
        random=_lines(random) if random else {},
        flattery={gap.system: _format(gap.metrics) for gap in study.flattery},
        constant={name: _format({"rmse": rmse}) for name, rmse in constant.items() if rmse},
        skipped=study.skipped,
    )


def _lines(result: SplitResult) -> dict[str, str]:
    """Return the metrics of each system, or the reason why it has none."""
    return {system.name: system.unavailable or _format(system.metrics) for system in result.systems}


def _format(metrics: Mapping[str, Estimate]) -> str:
    return ", ".join(
        f"{name} {metric.value:.3f}" + (f" [{metric.low:.3f}, {metric.high:.3f}]" if metric.low is not None else "")
        for name, metric in metrics.items()
        if metric.value is not None
    )
