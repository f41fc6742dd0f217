"""The scorecard in a few plain sentences, for readers who do not know its metrics."""

from __future__ import annotations

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report.formatting import plain
from viral.evaluation.report.report import MODEL, Report

_HUNDRED = 100
_FEW = 100  # test posts: with fewer, intervals are so wide that a warning comes first


def summarize(report: Report) -> list[str]:
    """At most seven sentences; those with an undefined metric are left out."""
    metrics = next(system.metrics for system in report.systems if system.name == MODEL)
    sentences = [
        _few(report),
        _cases(
            metrics.get("roc_auc"),
            "Of two posts of which one went viral, it gives the viral one the higher probability",
        ),
        _cases(metrics.get("pairwise_accuracy"), "Of any two posts, it ranks the one that did better higher"),
        _top(metrics.get("top20_precision")),
        _coverage(report, metrics.get("coverage")),
        _calibration(metrics.get("ece")),
        _most_needed(report),
    ]
    return [sentence for sentence in sentences if sentence]


def _few(report: Report) -> str | None:
    posts = sum(report.plots.confusion.model_dump().values())
    return f"It was tested on {posts} posts only: much of what follows may be chance." if posts < _FEW else None


def _cases(estimate: Estimate | None, what: str) -> str | None:
    if estimate is None or estimate.value is None:
        return None
    return f"{what} in {_of_hundred(estimate)} of 100 cases; guessing does in 50."


def _top(estimate: Estimate | None) -> str | None:
    if estimate is None or estimate.value is None:
        return None
    return f"Of 100 posts that it puts in its top fifth, {_of_hundred(estimate)} belong there; guessing gets 20."


def _coverage(report: Report, estimate: Estimate | None) -> str | None:
    if estimate is None or estimate.value is None:
        return None
    nominal = round(_HUNDRED * report.settings.level)
    actual = _of_hundred(estimate)
    return f"Its interval should contain the outcome of {nominal} of 100 posts; it does for {actual}."


def _calibration(estimate: Estimate | None) -> str | None:
    if estimate is None or estimate.value is None:
        return None
    points = _HUNDRED * estimate.value
    return f"Its probabilities are off by {points:.0f} percentage points on average." if points >= 1 else None


def _most_needed(report: Report) -> str | None:
    """The modality with the largest significant loss when hidden."""
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
    if not losses:
        return None
    needed = plain(min(losses)[1])
    return f"Its most important modality is {needed}: without it, it separates viral posts from others less well."


def _of_hundred(estimate: Estimate) -> str:
    """The metric in per cent, with its interval if it has one."""
    assert estimate.value is not None
    middle = f"{_HUNDRED * estimate.value:.0f}"
    if estimate.low is None or estimate.high is None:
        return middle
    low, high = f"{_HUNDRED * estimate.low:.0f}", f"{_HUNDRED * estimate.high:.0f}"
    return middle if low == high else f"{middle} ({low} to {high})"
