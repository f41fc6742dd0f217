"""Template variables for the further sections of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report import plots
from viral.evaluation.report.formatting import plain
from viral.evaluation.report.glossary import GLOSSARY
from viral.evaluation.report.report import Report
from viral.evaluation.report.sections import Ablation, AblationResult
from viral.evaluation.report.summary import summarize

_ABLATION_METRIC = "roc_auc"


@dataclass(frozen=True)
class Plot:
    """One plot with its caption."""

    title: str
    caption: str
    svg: str


def context(report: Report) -> dict[str, Any]:
    """Return the template variables by name."""
    return {
        "summary": summarize(report),
        "contents": contents(report),
        "glossary": GLOSSARY,
        "ablation_plots": _ablation_plots(report.ablation) if report.ablation else [],
        "modality_label": modality_label,
        "target_class": target_class,
        "pictured": any(example.image for example in (*report.best, *report.worst)),
    }


def contents(report: Report) -> list[tuple[str, str]]:
    """Return anchor and title of the sections in this report."""
    sections = (
        ("glance", "At a glance", True),
        ("about", "What was evaluated", True),
        ("split", "How the posts were divided", True),
        ("baselines", "Against baselines", True),
        ("differences", "Differences", report.differences),
        ("errors", "Errors", True),
        ("modalities", "Modalities", report.modalities),
        ("ablation", "Ablation", report.ablation),
        ("thresholds", "Other thresholds", report.thresholds),
        ("groups", "By group", report.groupings),
        ("examples", "Examples", report.best or report.worst),
        ("card", "Model card", report.card),
        ("limits", "Limits", True),
    )
    return [(anchor, title) for anchor, title, present in sections if present]


def missing_inputs(report: Report) -> list[str]:
    """Return the limitation that the model lacks some kinds of input, if it does."""
    kinds = report.card.unseen if report.card else ()
    return [f"Not among its inputs: {'; '.join(kinds)}."] if kinds else []


def modality_label(shown: Sequence[str], modalities: Sequence[str]) -> tuple[str, str]:
    """Return the name of a set of modalities, and a line to show below it."""
    if len(shown) == 1:
        return f"only {shown[0]}", ""
    hidden, joined = [name for name in modalities if name not in shown], " + ".join(shown)
    return (f"without {hidden[0]}", joined) if len(hidden) == 1 else (joined, "")


def target_class(estimate: Estimate, target: float) -> str:
    """Return the CSS class `worse` if the interval of a metric excludes its target, else `unclear`."""
    if estimate.low is None or estimate.high is None or estimate.low <= target <= estimate.high:
        return "unclear"
    return "worse"


def _ablation_plots(ablation: Ablation) -> list[Plot]:
    """Plots with one modality hidden and with one alone; for two modalities both are the same plot."""
    count = len(ablation.modalities)
    alone = [subset for subset in ablation.subsets if len(subset.shown) == 1]
    alone_plot = _ablation_plot(ablation, "With one modality alone", "How good each modality is by itself.", alone)
    if count <= 2:
        return [alone_plot]
    without = [subset for subset in ablation.subsets if len(subset.shown) == count - 1]
    caption = "The further a dot is to the left of the first one, the more the model needs that modality."
    return [_ablation_plot(ablation, "With one modality hidden", caption, without), alone_plot]


def _ablation_plot(ablation: Ablation, title: str, caption: str, subsets: Sequence[AblationResult]) -> Plot:
    names = ["all modalities", *(plain(modality_label(subset.shown, ablation.modalities)[0]) for subset in subsets)]
    estimates = [ablation.whole[_ABLATION_METRIC], *(subset.metrics[_ABLATION_METRIC] for subset in subsets)]
    label = GLOSSARY[_ABLATION_METRIC].label
    return Plot(title, caption, plots.comparison(names, estimates, label, name=title))
