"""The HTML page of a study, in the dress of the scorecards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report import plots
from viral.evaluation.report.formatting import number, signed
from viral.evaluation.report.glossary import GLOSSARY
from viral.evaluation.report.page import environment
from viral.evaluation.report.report import MODEL
from viral.evaluation.study.study import COMPARED, FIGURES, Judged, Study, spread

WORDS = {
    "time_author": "newer posts by authors never seen",
    "time": "newer posts, also by authors of the training posts",
    "author": "authors never seen, of any time",
    "random": "posts drawn at random: authors and times on both sides",
}
"""What each split tests on."""

_FLATTERS = "that much it flatters"
_DRAWN = ("roc_auc", "spearman")


def render(study: Study) -> str:
    """The page, as HTML."""
    shown = [name for name in COMPARED if any(_is_judged(each, name) for each in study.splits)]
    curve = sorted(study.curve, key=lambda each: each.share)
    return (
        environment()
        .get_template("study/study.html")
        .render(
            study=study,
            systems=shown,
            absent=[(each, name) for each in study.splits for name in _absent(each, shown)],
            figures=[(name, GLOSSARY[name]) for name in FIGURES],
            verdicts=_verdicts(study),
            comparisons=[_plot(name, study.splits) for name in _DRAWN],
            curve=curve,
            growths=[(GLOSSARY[name].label, _growth(name, curve)) for name in _DRAWN] if len(curve) > 1 else [],
            spread=spread(study.seeds),
            split_words=WORDS,
            words=lambda name: name.replace("_", " "),
        )
    )


def _is_judged(judged: Judged, system: str) -> bool:
    return any(each.name == system and each.unavailable is None for each in judged.systems)


def _absent(judged: Judged, shown: Sequence[str]) -> list[tuple[str, str]]:
    """Which of the systems shown this split has not, and why."""
    return [(each.name, each.unavailable) for each in judged.systems if each.name in shown and each.unavailable]


def _verdicts(study: Study) -> list[str]:
    lines = []
    for name in _DRAWN:
        label, found = GLOSSARY[name].label, study.headline.figure(MODEL, name)
        if found is None or found.value is None:
            continue
        text = f"{label} on {WORDS.get(study.headline.split, study.headline.split)}: {_told(found)}."
        told = {each.system: each.figures[name] for each in study.flattery if name in each.figures}
        if MODEL in told:
            text += f" Posts drawn at random give {signed(told[MODEL].value)}{_between(told[MODEL])}:"
            text += f" {_flatters(told[MODEL])}.{_flattered_most(told)}"
        lines.append(text)
    return lines


def _flattered_most(told: Mapping[str, Estimate]) -> str:
    known = {system: each.value for system, each in told.items() if each.value is not None}
    most = max(known, key=lambda system: known[system], default=MODEL)
    if most == MODEL or _flatters(told[most]) != _FLATTERS:
        return ""
    return f" It flatters {most.replace('_', ' ')} by {signed(known[most])}{_between(told[most])}."


def _flatters(told: Estimate) -> str:
    if told.low is None or told.high is None or told.low <= 0 <= told.high:
        return "that this flatters cannot be told from these posts"
    return _FLATTERS if told.low > 0 else "here it does not flatter"


def _told(estimate: Estimate) -> str:
    return f"{number(estimate.value)}{_between(estimate)}"


def _between(estimate: Estimate) -> str:
    return "" if estimate.low is None else f" ({number(estimate.low)} to {number(estimate.high)})"


def _plot(name: str, splits: Sequence[Judged]) -> tuple[str, str]:
    estimates = [each.figure(MODEL, name) or Estimate(None) for each in splits]
    names = [each.split.replace("_", " + ") for each in splits]
    return GLOSSARY[name].label, plots.comparison(names, estimates, GLOSSARY[name].label)


def _growth(name: str, curve: Sequence[Judged]) -> str:
    authors = [each.part("train").authors for each in curve]
    return plots.growth(authors, [each.figure(MODEL, name) or Estimate(None) for each in curve], GLOSSARY[name].label)
