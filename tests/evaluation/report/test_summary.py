from __future__ import annotations

from collections.abc import Callable

from tests.evaluation.conftest import truth
from viral.evaluation.report.report import Report
from viral.evaluation.report.summary import in_short

Judge = Callable[..., Report]


def test_a_newcomer_reads_the_figures_in_plain_words(judge: Judge) -> None:
    report = judge(resamples=20)
    figures = report.systems[0].figures
    said = in_short(report)
    auc = figures["roc_auc"]
    assert auc.value is not None and auc.low is not None and auc.high is not None
    assert f"in {100 * auc.value:.0f} ({100 * auc.low:.0f} to {100 * auc.high:.0f}) of 100 cases" in said[0]
    assert any("for 90 of 100 posts; it does for" in line for line in said)
    assert not any("do without" in line for line in said)


def test_few_posts_are_warned_of_first(judge: Judge) -> None:
    few = judge(truth=truth(99), baselines={}, resamples=2)
    assert in_short(few)[0].startswith("It was tested on 99 posts only")


def test_what_it_can_least_do_without(full_report: Report) -> None:
    assert "It can least do without text: with that hidden, it tells viral posts from others less well." in in_short(
        full_report
    )


def test_nothing_is_said_of_what_is_undefined(judge: Judge) -> None:
    report = judge(resamples=20)
    model = report.systems[0].model_copy(update={"figures": {}})
    assert in_short(report.model_copy(update={"systems": (model, *report.systems[1:])})) == []
