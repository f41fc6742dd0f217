"""The scorecard in a few plain sentences, for readers who do not know its metrics."""

from __future__ import annotations

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report.formatting import plain
from viral.evaluation.report.glossary import GLOSSARY
from viral.evaluation.report.report import MODEL, Report

_COMPARED = {
    "roc_auc": "tells viral posts from others better",
    "spearman": "ranks posts better",
    "rmse": "comes closer to their scores",
}
"""What a baseline does better that is ahead in a metric."""
_LEAST_GAP = 0.0005  # smaller ones are shown as 0

MIN_POSTS = 100
"""Test posts: with fewer, intervals are so wide that a warning comes first."""


def summarize(report: Report) -> list[str]:
    """Return at most eight sentences; those with an undefined metric are left out."""
    metrics = next(system.metrics for system in report.systems if system.name == MODEL)
    defined = {name: estimate for name, estimate in metrics.items() if estimate.value is not None}
    sentences = baselines_ahead(report)
    sentences += few_posts_warnings(sum(report.plots.confusion.model_dump().values()))
    texts = {
        "roc_auc": "Of two posts of which one went viral, it gives the viral one the higher probability in {} of 100 "
        "cases; guessing does in 50.",
        "pairwise_accuracy": "Of any two posts, it ranks the one that did better higher in {} of 100 cases; guessing "
        "does in 50.",
        "top20_precision": "Of 100 posts that it puts in its top fifth, {} belong there; guessing gets 20.",
        "coverage": f"Its interval should contain the score of {100 * report.settings.level:.0f} of 100 posts; it does "
        "for {}.",
    }
    sentences += [text.format(_of_hundred(defined[name])) for name, text in texts.items() if name in defined]
    if "ece" in defined and (error := 100 * (defined["ece"].value or 0)) >= 1:
        sentences.append(f"Its probabilities are off by {error:.0f} percentage points on average.")
    if modality := _most_important_modality(report):
        sentences.append(
            f"Its most important modality is {modality}: without it, it separates viral posts from others less well."
        )
    return sentences


def baselines_ahead(report: Report) -> list[str]:
    """Return a sentence that names, by metric, the baseline ahead of the model; nothing if none is.

    Of several the one furthest ahead, and before others one that is not ahead by chance alone.
    """
    best = [(text, min(found)) for text, found in _ahead(report).items() if found]
    if not best:
        return []
    parts = [f"{baseline.replace('_', ' ')} {text} ({gap})" for text, (_, _, baseline, gap) in best]
    sure = any(not chance for _, (chance, *_) in best)
    return [f"A simpler method {'does' if sure else 'may do'} better: {'; '.join(parts)}."]


def _ahead(report: Report) -> dict[str, list[tuple[bool, float, str, str]]]:
    """By what it says, the baselines ahead: whether perhaps by chance, minus the gap, name, gap in words."""
    found: dict[str, list[tuple[bool, float, str, str]]] = {text: [] for text in _COMPARED.values()}
    for difference in report.differences:
        for name, text in _COMPARED.items():
            gap, sign = difference.metrics.get(name), 1 if GLOSSARY[name].better == "lower" else -1
            if gap is None or gap.value is None or sign * gap.value < _LEAST_GAP:
                continue
            bounds = [] if gap.low is None or gap.high is None else sorted((sign * gap.low, sign * gap.high))
            chance = not bounds or bounds[0] <= 0
            size = f"{GLOSSARY[name].label} {'lower' if sign > 0 else 'higher'} by {sign * gap.value:.3f}"
            words = ", which may be chance" if chance else f", {bounds[0]:.3f} to {bounds[1]:.3f}"
            found[text].append((chance, -sign * gap.value, difference.baseline, size + words))
    return found


def few_posts_warnings(posts: int) -> list[str]:
    """Return a warning if there are few test posts."""
    return [f"It was tested on {posts} posts only: much of what follows may be chance."] if posts < MIN_POSTS else []


def _most_important_modality(report: Report) -> str | None:
    """The modality whose removal lowers ROC-AUC most; None if no loss is significant."""
    if report.ablation is None:
        return None
    count = len(report.ablation.modalities)
    losses = [
        (gap.value, next(iter(set(report.ablation.modalities) - set(subset.shown))))
        for subset in report.ablation.subsets
        if len(subset.shown) == count - 1
        and (gap := subset.differences["roc_auc"]).value is not None
        and gap.high is not None
        and gap.high < 0
    ]
    return plain(min(losses)[1]) if losses else None


def _of_hundred(estimate: Estimate) -> str:
    """The metric in per cent, with its interval if it has one."""
    value, low, high = (
        "" if share is None else f"{100 * share:.0f}" for share in (estimate.value, estimate.low, estimate.high)
    )
    return value if low == high else f"{value} ({low} to {high})"
