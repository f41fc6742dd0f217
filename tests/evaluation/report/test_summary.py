from __future__ import annotations

from collections.abc import Callable

from tests.evaluation.conftest import make_labels
from viral.evaluation.report.report import Report
from viral.evaluation.report.summary import summarize

Judge = Callable[..., Report]


def test_a_newcomer_reads_the_figures_in_plain_words(judge: Judge) -> None:
    report = judge(resamples=20)
    metrics = report.systems[0].metrics
    sentences = summarize(report)
    auc = metrics["roc_auc"]
    assert auc.value is not None and auc.low is not None and auc.high is not None
    assert f"in {100 * auc.value:.0f} ({100 * auc.low:.0f} to {100 * auc.high:.0f}) of 100 cases" in sentences[0]
    assert any("of 90 of 100 posts; it does for" in line for line in sentences)
    assert not any("most important" in line for line in sentences)


def test_few_posts_are_warned_of_first(judge: Judge) -> None:
    few = judge(labels=make_labels(99), baselines={}, resamples=2)
    assert summarize(few)[0].startswith("It was tested on 99 posts only")


def test_what_it_can_least_do_without(full_report: Report) -> None:
    assert (
        "Its most important modality is text: without it, it separates viral posts from others less well."
        in summarize(full_report)
    )


def test_nothing_is_sentences_of_what_is_undefined(judge: Judge) -> None:
    report = judge(resamples=20)
    model = report.systems[0].model_copy(update={"metrics": {}})
    assert summarize(report.model_copy(update={"systems": (model, *report.systems[1:])})) == []
