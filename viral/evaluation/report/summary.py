"""The scorecard in a few plain sentences, for a reader who knows none of its figures."""

from __future__ import annotations

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report.formatting import plain
from viral.evaluation.report.report import MODEL, Report

_HUNDRED = 100
_FEW = 100
"""Test posts below which a warning comes first."""


def in_short(report: Report) -> list[str]:
    """What a newcomer should take away, at most seven sentences; those whose figure is undefined are left out."""
    figures = next(system.figures for system in report.systems if system.name == MODEL)
    said = [
        _few(report),
        _cases(
            figures.get("roc_auc"), "Of two posts of which one went viral, it gives that one the higher probability"
        ),
        _cases(figures.get("pairwise_accuracy"), "Of any two posts, it ranks the one that did better higher"),
        _top(figures.get("top20_precision")),
        _range(report, figures.get("coverage")),
        _gap(figures.get("ece")),
        _needed(report),
    ]
    return [sentence for sentence in said if sentence]


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
    return f"Of 100 posts that it puts in its top fifth, {_of_hundred(estimate)} belong there; by guessing 20 would."


def _range(report: Report, estimate: Estimate | None) -> str | None:
    if estimate is None or estimate.value is None:
        return None
    meant = round(_HUNDRED * report.settings.level)
    return f"Its interval is meant to hold the outcome for {meant} of 100 posts; it does for {_of_hundred(estimate)}."


def _gap(estimate: Estimate | None) -> str | None:
    if estimate is None or estimate.value is None:
        return None
    points = _HUNDRED * estimate.value
    return f"Its probabilities are off by {points:.0f} percentage points on average." if points >= 1 else None


def _needed(report: Report) -> str | None:
    """Which modality it can least do without, where that is beyond doubt."""
    if report.ablation is None:
        return None
    count = len(report.ablation.modalities)
    losses = [
        (gap.value, next(iter(set(report.ablation.modalities) - set(one.shown))))
        for one in report.ablation.subsets
        if len(one.shown) == count - 1
        and (gap := one.differences["roc_auc"]).value is not None
        and gap.high is not None
        and gap.high < 0
    ]
    if not losses:
        return None
    needed = plain(min(losses)[1])
    return f"It can least do without {needed}: with that hidden, it tells viral posts from others less well."


def _of_hundred(estimate: Estimate) -> str:
    """The figure in a hundred, with its interval where there is one."""
    assert estimate.value is not None
    middle = f"{_HUNDRED * estimate.value:.0f}"
    if estimate.low is None or estimate.high is None:
        return middle
    low, high = f"{_HUNDRED * estimate.low:.0f}", f"{_HUNDRED * estimate.high:.0f}"
    return middle if low == high else f"{middle} ({low} to {high})"
