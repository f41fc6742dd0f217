"""One corpus through every split: how much each flatters, what more authors would bring, what chance alone moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report.report import MODEL, Part, Report, System

FIGURES = ("roc_auc", "spearman", "rmse", "r2")
"""What a study compares; all others stand in the scorecards."""

COMPARED = (
    *(MODEL, "constant", "author_earlier_median", "followers_only", "metadata_gbm", "text_linear"),
    *("system_a", "system_b", "system_c", "system_d"),
)
"""The systems that it compares, in this order."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Judged(_Frozen):
    """One model of the study on its test posts.

    Attributes:
        model: name and version.
        split: its kind.
        seed: of the training.
        share: of the training split's authors that it was shown.
        scorecard: where the whole of it lies, from the page.
        parts: posts and authors of the split.
        systems: the model and baselines, with the figures of `FIGURES`.
    """

    model: str
    split: str
    seed: int
    share: float
    scorecard: str
    parts: tuple[Part, ...]
    systems: tuple[System, ...]

    @classmethod
    def of(cls, card: Report, *, seed: int, share: float, scorecard: str) -> Judged:
        """From a whole scorecard."""
        found = {system.name: system for system in card.systems}
        return cls(
            model=card.about.model,
            split=card.split.kind,
            seed=seed,
            share=share,
            scorecard=scorecard,
            parts=card.split.parts,
            systems=tuple(_narrow(found[name]) for name in COMPARED if name in found),
        )

    def figure(self, system: str, name: str) -> Estimate | None:
        """A figure of one of its systems; None where there is none."""
        found = next((each for each in self.systems if each.name == system), None)
        return found.figures.get(name) if found else None

    def part(self, name: str) -> Part:
        """One part of its split."""
        return next(part for part in self.parts if part.name == name)


class Labelled(_Frozen):
    """One label under the headline split, and how its values lie.

    Attributes:
        definition: of the label.
        viral: in words, which posts count as viral.
        crowded: the share of the training posts in the lowest hundredth of their range.
        extent: how wide that range is.
        judged: the model of that label.
    """

    definition: str
    viral: str
    crowded: float
    extent: float
    judged: Judged


class Flattery(_Frozen):
    """How much higher each figure of a system is on posts drawn at random than under the headline split."""

    system: str
    figures: dict[str, Estimate]


class Study(_Frozen):
    """All of it. `splits` begin with the headline; `seeds` and `curve` hold its model trained otherwise, too."""

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
    splits: tuple[Judged, ...]
    skipped: dict[str, str] = {}
    flattery: tuple[Flattery, ...]
    seeds: tuple[Judged, ...]
    curve: tuple[Judged, ...]
    labels: tuple[Labelled, ...]

    @property
    def headline(self) -> Judged:
        """The split that its figures are to be quoted from."""
        return self.splits[0]

    def to_json(self) -> str:
        """All of it; `Study.model_validate_json` reads it back."""
        return self.model_dump_json(indent=1)


def flattery(headline: Judged, random: Judged | None) -> tuple[Flattery, ...]:
    """For each system that both splits have, how much the random one flatters it."""
    if random is None:
        return ()
    found = []
    for system in COMPARED:
        pairs = {name: (random.figure(system, name), headline.figure(system, name)) for name in FIGURES}
        figures = {name: gap(one, other) for name, (one, other) in pairs.items() if one and other}
        if any(each.value is not None for each in figures.values()):
            found.append(Flattery(system=system, figures=figures))
    return tuple(found)


def gap(one: Estimate, other: Estimate) -> Estimate:
    """How much higher one figure is than another one of other test posts, taken as independent.

    The interval is put together from theirs: Zou & Donner 2008, "Construction of confidence limits about effect
    measures" (MOVER).
    """
    if one.value is None or other.value is None:
        return Estimate(None)
    value = one.value - other.value
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return Estimate(value)
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(value, value - below, value + above)


def spread(judged: Sequence[Judged]) -> Mapping[str, tuple[float, float, float, float]]:
    """Of each figure of the model over several trainings: mean, standard deviation, least, greatest."""
    found = {}
    for name in FIGURES:
        known = [each.value for each in (one.figure(MODEL, name) for one in judged) if each]
        values = [value for value in known if value is not None]
        if len(values) > 1:
            mean = sum(values) / len(values)
            deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
            found[name] = (mean, deviation, min(values), max(values))
    return found


def _narrow(system: System) -> System:
    return system.model_copy(update={"figures": {k: v for k, v in system.figures.items() if k in FIGURES}})
