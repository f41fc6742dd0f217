"""HTML page of a study, in the style of the scorecards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report import plots
from viral.evaluation.report.formatting import number, signed
from viral.evaluation.report.glossary import GLOSSARY
from viral.evaluation.report.page import environment
from viral.evaluation.report.report import MODEL
from viral.evaluation.study.study import METRICS, SYSTEMS, SplitResult, Study, spread

TEST_POSTS = {
    "time_author": "newer posts by authors never seen",
    "time": "newer posts, also by authors of the training posts",
    "author": "authors never seen, of any time",
    "random": "posts drawn at random: authors and times on both sides",
}
"""Description of each split's test posts."""

_OPTIMISTIC = "that split is too optimistic"
_PLOTTED = ("roc_auc", "spearman")


def render(study: Study) -> str:
    """Render the page as HTML."""
    systems = [name for name in SYSTEMS if any(_has_metrics(result, name) for result in study.splits)]
    curve = sorted(study.curve, key=lambda result: result.author_fraction)
    return (
        environment()
        .get_template("study/study.html")
        .render(
            study=study,
            systems=systems,
            missing=[(result, pair) for result in study.splits for pair in _missing(result, systems)],
            metrics=[(name, GLOSSARY[name]) for name in METRICS],
            verdicts=_verdicts(study),
            comparisons=[_plot(name, study.splits) for name in _PLOTTED],
            curve=curve,
            growths=[(GLOSSARY[name].label, _growth(name, curve)) for name in _PLOTTED] if len(curve) > 1 else [],
            spread=spread(study.seeds),
            test_posts=TEST_POSTS,
            words=lambda name: name.replace("_", " "),
        )
    )


def _has_metrics(result: SplitResult, name: str) -> bool:
    return any(system.name == name and system.unavailable is None for system in result.systems)


def _missing(result: SplitResult, names: Sequence[str]) -> list[tuple[str, str]]:
    """Names of the shown systems that a split does not have, and the reasons."""
    return [
        (system.name, system.unavailable) for system in result.systems if system.name in names and system.unavailable
    ]


def _verdicts(study: Study) -> list[str]:
    verdicts = []
    for name in _PLOTTED:
        label, estimate = GLOSSARY[name].label, study.headline.metric(MODEL, name)
        if estimate is None or estimate.value is None:
            continue
        split = study.headline.split
        text = f"{label} on {TEST_POSTS.get(split, split)}: {number(estimate.value)}{_interval(estimate)}."
        flattery = {item.system: item.metrics[name] for item in study.flattery if name in item.metrics}
        if MODEL in flattery:
            text += f" Posts drawn at random give {signed(flattery[MODEL].value)}{_interval(flattery[MODEL])}:"
            text += f" {_flattery_verdict(flattery[MODEL])}.{_most_flattered(flattery)}"
        verdicts.append(text)
    return verdicts


def _most_flattered(flattery: Mapping[str, Estimate]) -> str:
    values = {system: estimate.value for system, estimate in flattery.items() if estimate.value is not None}
    most = max(values, key=lambda system: values[system], default=MODEL)
    if most == MODEL or _flattery_verdict(flattery[most]) != _OPTIMISTIC:
        return ""
    return f" Most so for {most.replace('_', ' ')}, by {signed(values[most])}{_interval(flattery[most])}."


def _flattery_verdict(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None or estimate.low <= 0 <= estimate.high:
        return "these posts do not show whether that split is too optimistic"
    return _OPTIMISTIC if estimate.low > 0 else "here that split is not too optimistic"


def _interval(estimate: Estimate) -> str:
    return "" if estimate.low is None else f" ({number(estimate.low)} to {number(estimate.high)})"


def _plot(name: str, splits: Sequence[SplitResult]) -> tuple[str, str]:
    estimates = [result.metric(MODEL, name) or Estimate(None) for result in splits]
    names = [result.split.replace("_", " + ") for result in splits]
    return GLOSSARY[name].label, plots.comparison(names, estimates, GLOSSARY[name].label)


def _growth(name: str, curve: Sequence[SplitResult]) -> str:
    authors = [result.part("train").authors for result in curve]
    estimates = [result.metric(MODEL, name) or Estimate(None) for result in curve]
    return plots.growth(authors, estimates, GLOSSARY[name].label)
