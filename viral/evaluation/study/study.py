"""Results of one corpus under every split: optimism of each split, data-size curve, and variation over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.bootstrap.settings import Frozen
from viral.evaluation.report.report import MODEL, Report, SplitPart, System
from viral.evaluation.report.sections import StoredMetrics

METRICS = ("roc_auc", "spearman", "rmse", "r2")  # that a study compares; the scorecards have the others

# Systems that a study compares, in this order.
SYSTEMS = (
    *(MODEL, "constant", "author_earlier_median", "followers_only", "metadata_gbm", "text_linear"),
    *("system_a", "system_b", "system_c", "system_d"),
)


class SplitResult(Frozen):
    """A model and its baselines on the test posts of one split.

    Attributes:
        model: name and version.
        split: kind of split.
        seed: of the training.
        author_fraction: fraction of the training split's authors that the model was trained on; `share` in JSON.
        scorecard: link to the whole scorecard, relative to the page.
        parts: posts and authors of the split.
        systems: the model and baselines, with the metrics of `METRICS`.
    """

    model: str
    split: str
    seed: int
    author_fraction: Annotated[float, Field(validation_alias="share", serialization_alias="share")]
    scorecard: str
    parts: tuple[SplitPart, ...]
    systems: tuple[System, ...]

    @classmethod
    def from_report(cls, card: Report, *, seed: int, author_fraction: float, scorecard: str) -> SplitResult:
        """Extract what a study compares from a scorecard."""
        systems = {system.name: system for system in card.systems}
        return cls(
            model=card.about.model,
            split=card.split.kind,
            seed=seed,
            author_fraction=author_fraction,
            scorecard=scorecard,
            parts=card.split.parts,
            systems=tuple(_select_metrics(systems[name]) for name in SYSTEMS if name in systems),
        )

    def metric(self, system: str, name: str) -> Estimate | None:
        """Return a metric of one of the systems; None if it is missing."""
        return next((each.metrics.get(name) for each in self.systems if each.name == system), None)

    def part(self, name: str) -> SplitPart:
        """Return one part of the split."""
        return next(part for part in self.parts if part.name == name)


class LabelResult(Frozen):
    """One label under the headline split, and the distribution of its values.

    Attributes:
        definition: of the label.
        viral: which posts count as viral, in words.
        crowded: fraction of the training posts in the lowest hundredth of the range.
        extent: width of the range.
        result: of the model of this label; `judged` in JSON.
    """

    definition: str
    viral: str
    crowded: float
    extent: float
    result: Annotated[SplitResult, Field(validation_alias="judged", serialization_alias="judged")]


class Flattery(Frozen):
    """Each metric of a system on the random split minus that on the headline split."""

    system: str
    metrics: StoredMetrics


class Study(Frozen):
    """A whole study. `splits` begin with the headline; `seeds` and `curve` include the headline's model."""

    title: str
    model: str
    score: str
    corpus: str
    feature_set: str
    inputs: tuple[str, ...]
    synthetic: bool
    gap_days: float
    level: float
    resamples: int
    code_version: str
    splits: tuple[SplitResult, ...]
    skipped: dict[str, str] = Field(default_factory=dict)
    flattery: tuple[Flattery, ...]
    seeds: tuple[SplitResult, ...]
    curve: tuple[SplitResult, ...]
    labels: tuple[LabelResult, ...]

    @property
    def headline(self) -> SplitResult:
        """The split whose metrics are to be quoted."""
        return self.splits[0]

    def to_json(self) -> str:
        """Convert to JSON; `Study.model_validate_json` reads it back."""
        return self.model_dump_json(indent=1, by_alias=True)


def flattery(headline: SplitResult, random: SplitResult | None) -> tuple[Flattery, ...]:
    """Compute how much the random split flatters each system that both splits have."""
    if random is None:
        return ()
    results = []
    for system in SYSTEMS:
        pairs = {name: (random.metric(system, name), headline.metric(system, name)) for name in METRICS}
        metrics = {name: difference(*pair) for name, pair in pairs.items() if pair[0] and pair[1]}
        if any(estimate.value is not None for estimate in metrics.values()):
            results.append(Flattery(system=system, metrics=metrics))
    return tuple(results)


def difference(minuend: Estimate | None, subtrahend: Estimate | None) -> Estimate:
    """Subtract two estimates from independent samples.

    The interval combines theirs: Zou & Donner 2008, "Construction of confidence limits about effect measures" (MOVER).
    """
    if not minuend or not subtrahend or minuend.value is None or subtrahend.value is None:
        return Estimate(None)
    value = minuend.value - subtrahend.value
    if minuend.low is None or minuend.high is None or subtrahend.low is None or subtrahend.high is None:
        return Estimate(value)
    # The distances to the ends add up as standard errors of independent estimates do.
    below = math.hypot(minuend.value - minuend.low, subtrahend.high - subtrahend.value)
    above = math.hypot(minuend.high - minuend.value, subtrahend.value - subtrahend.low)
    return Estimate(value, value - below, value + above)


def spread(results: Sequence[SplitResult]) -> Mapping[str, tuple[float, float, float, float]]:
    """Return the mean, standard deviation, minimum and maximum of each metric of the model over several trainings."""
    spreads = {}
    for name in METRICS:
        estimates = (result.metric(MODEL, name) for result in results)
        values = [estimate.value for estimate in estimates if estimate and estimate.value is not None]
        # One training has no spread.
        if len(values) > 1:
            mean = sum(values) / len(values)
            deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
            spreads[name] = (mean, deviation, min(values), max(values))
    return spreads


def _select_metrics(system: System) -> System:
    return system.model_copy(update={"metrics": {k: v for k, v in system.metrics.items() if k in METRICS}})
