"""What the template of the page needs for the parts of a report beside its main figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report import plots
from viral.evaluation.report.formatting import plain
from viral.evaluation.report.glossary import GLOSSARY
from viral.evaluation.report.report import Report
from viral.evaluation.report.sections import Ablation, Shown
from viral.evaluation.report.summary import in_short

_ABLATED_BY = "roc_auc"


@dataclass(frozen=True)
class Plot:
    """One plot, with the sentence that says how to read it."""

    title: str
    reads: str
    svg: str


def context(report: Report) -> dict[str, Any]:
    """By the names that the template uses."""
    return {
        "in_short": in_short(report),
        "contents": contents(report),
        "glossary": GLOSSARY,
        "ablation_plots": _ablation_plots(report.ablation) if report.ablation else [],
        "shown_words": shown_words,
        "off": off,
        "pictured": any(each.image for each in (*report.best, *report.worst)),
    }


def contents(report: Report) -> list[tuple[str, str]]:
    """The sections that this report has: anchor and title."""
    sections = (
        ("glance", "At a glance", True),
        ("judged", "What was judged", True),
        ("split", "How the posts were divided", True),
        ("baselines", "Beside its baselines", True),
        ("differences", "How much better", report.differences),
        ("errors", "Where it errs", True),
        ("modalities", "What it rests on", report.modalities),
        ("ablation", "With less to look at", report.ablation),
        ("bar", "With another bar", report.cuts),
        ("groups", "For whom it holds", report.groupings),
        ("examples", "Nearest and farthest", report.best or report.worst),
        ("card", "Model card", report.card),
        ("limits", "Limits", True),
    )
    return [(anchor, title) for anchor, title, there in sections if there]


def unseen(report: Report) -> list[str]:
    """What the model has no input for, as a limit."""
    known = report.card.unseen if report.card else ()
    return [f"Not among its inputs: {'; '.join(known)}."] if known else []


def shown_words(shown: Sequence[str], modalities: Sequence[str]) -> tuple[str, str]:
    """What a set of modalities is called, and what else is to be said of it."""
    if len(shown) == 1:
        return f"only {shown[0]}", ""
    hidden = [name for name in modalities if name not in shown]
    together = " + ".join(shown)
    return (f"without {hidden[0]}", together) if len(hidden) == 1 else (together, "")


def off(estimate: Estimate, target: float) -> str:
    """`worse` where the interval leaves no doubt that a figure misses its target."""
    if estimate.low is None or estimate.high is None or estimate.low <= target <= estimate.high:
        return "unclear"
    return "worse"


def _ablation_plots(ablation: Ablation) -> list[Plot]:
    """One modality hidden, and one alone; of two modalities these are the same."""
    count = len(ablation.modalities)
    alone = [one for one in ablation.subsets if len(one.shown) == 1]
    plots = [_ablation_plot(ablation, "With one modality alone", "How far each one gets by itself.", alone)]
    if count > 2:
        without = [one for one in ablation.subsets if len(one.shown) == count - 1]
        reads = "The further a dot lies left of the first, the more is lost without that modality."
        plots.insert(0, _ablation_plot(ablation, "With one modality hidden", reads, without))
    return plots


def _ablation_plot(ablation: Ablation, title: str, reads: str, subsets: Sequence[Shown]) -> Plot:
    names = ["everything", *(plain(shown_words(one.shown, ablation.modalities)[0]) for one in subsets)]
    estimates = [ablation.whole[_ABLATED_BY], *(one.figures[_ABLATED_BY] for one in subsets)]
    label = GLOSSARY[_ABLATED_BY].label
    return Plot(title, reads, plots.comparison(names, estimates, label, name=title))
