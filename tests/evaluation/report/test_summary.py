from __future__ import annotations

from collections.abc import Callable

from tests.evaluation.conftest import make_labels
from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report.report import Difference, Report
from viral.evaluation.report.summary import baselines_ahead, summarize

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


def test_a_baseline_that_is_ahead_comes_first(judge: Judge) -> None:
    report = judge(resamples=20)
    names = [difference.baseline for difference in report.differences][:2]

    def gaps(baseline: str, **values: tuple[float, float, float]) -> Difference:
        return Difference(baseline=baseline, metrics={name: Estimate(*value) for name, value in values.items()})

    first = gaps(names[0], roc_auc=(-0.05, -0.08, -0.02), spearman=(0.1, 0.0, 0.2), rmse=(0.0004, -0.1, 0.1))
    second = gaps(names[1], roc_auc=(-0.06, -0.2, 0.1), spearman=(-0.01, -0.02, 0.01), rmse=(-0.1, -0.2, -0.1))
    few = judge(labels=make_labels(99), baselines={}, resamples=2)
    sentences = summarize(few.model_copy(update={"differences": (first, second)}))
    one, other = (name.replace("_", " ") for name in names)
    # One that is surely ahead goes before one that is further ahead, perhaps by chance.
    assert sentences[0] == (
        f"A simpler method does better: {one} tells viral posts from others better (ROC-AUC higher by 0.050, 0.020 to "
        f"0.080); {other} ranks posts better (Spearman higher by 0.010, which may be chance)."
    )
    assert sentences[1].startswith("It was tested on 99 posts only")
    assert baselines_ahead(report.model_copy(update={"differences": ()})) == []


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
