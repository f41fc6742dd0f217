from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from tests.evaluation.conftest import baselines, make_labels, make_predictions
from viral.errors import TableError
from viral.evaluation.bootstrap import metrics
from viral.evaluation.evaluate import Details
from viral.evaluation.labels import Labels
from viral.evaluation.report.page import render
from viral.evaluation.report.report import Report
from viral.models.predictions import PredictionBatch

Judge = Callable[..., Report]


def test_estimates_are_those_of_the_metrics(judge: Judge) -> None:
    labels, model = make_labels(), make_predictions(make_labels())
    estimates = judge(threshold=0.6, log_scale=True).systems[0].metrics
    expected = metrics.classification(labels.is_viral, model.probability, 0.6)
    expected |= metrics.regression(labels.y, model.score, log_scale=True)
    expected |= metrics.ranking(labels.y, model.score, labels.is_viral, 12)
    expected |= metrics.intervals(labels.y, model.low, model.high)
    assert {name: estimates[name].value for name in expected} == expected
    assert set(estimates) - set(expected) == {"top20_precision_within_author"}
    for estimate in estimates.values():
        assert estimate.value is not None and estimate.low is not None and estimate.high is not None
        assert estimate.low <= estimate.value <= estimate.high


def test_accuracy_at_the_training_posts_75th_percentile(judge: Judge) -> None:
    labels, model = make_labels(), make_predictions(make_labels())
    report = judge(quartile=0.6)
    expected = ((labels.y > 0.6) == (model.score > 0.6)).mean()
    assert report.systems[0].metrics["accuracy_at_75"].value == pytest.approx(expected)
    assert report.systems[1].metrics["accuracy_at_75"].value == pytest.approx((labels.y <= 0.6).mean())
    assert "accuracy_at_75" not in judge().systems[0].metrics


def test_differences_are_paired_and_signed(judge: Judge) -> None:
    report = judge()
    assert [difference.baseline for difference in report.differences] == ["constant", "metadata_gbm"]
    gap = report.differences[1].metrics["spearman"]
    model, baseline = report.systems[0].metrics["spearman"], report.systems[2].metrics["spearman"]
    assert gap.value == pytest.approx((model.value or 0) - (baseline.value or 0))
    assert gap.low is not None and gap.low > 0
    assert report.differences[0].metrics["spearman"].value is None


def test_a_model_against_itself_differs_by_nothing(judge: Judge) -> None:
    model = make_predictions(make_labels())
    report = judge(baselines={"same": PredictionBatch(model.probability, model.score)}, log_scale=True)
    assert {(e.value, e.low, e.high) for e in report.differences[0].metrics.values()} == {(0.0, 0.0, 0.0)}


def test_an_unavailable_baseline_is_named(judge: Judge) -> None:
    system = judge().systems[-1]
    assert (system.name, system.unavailable, system.metrics) == ("hour_only", "the corpus has no posting hour", {})


def test_plots(judge: Judge) -> None:
    labels, model = make_labels(), make_predictions(make_labels())
    plots = judge(threshold=0.5).plots
    called = model.probability >= 0.5
    assert plots.confusion.true_positive == (called & labels.is_viral).sum()
    assert sum(plots.confusion.model_dump().values()) == 120
    assert plots.roc is not None
    assert sk.auc(plots.roc.x, plots.roc.y) == pytest.approx(sk.roc_auc_score(labels.is_viral, model.probability))
    assert sum(bin_.posts for bin_ in plots.reliability) == 120
    assert set(plots.scatter.x) == set(model.score)


def test_long_curves_are_thinned(judge: Judge) -> None:
    labels = make_labels(5000, 500)
    plots = judge(labels=labels, resamples=2).plots
    assert plots.roc is not None and len(plots.roc.x) <= 200
    assert (plots.roc.x[0], plots.roc.x[-1]) == (0, 1)
    assert len(plots.scatter.x) == 800


def test_the_pairs_of_many_posts_come_from_some_authors(judge: Judge) -> None:
    report = judge(labels=make_labels(15_000, 3000), resamples=20, baselines={})
    settings = report.settings
    assert 9_900 < settings.compared_posts <= 10_000
    assert 1900 < settings.compared_authors <= 2000
    assert f"Kendall and pairwise accuracy from {settings.compared_authors:,} of the authors only" in render(report)
    kendall = report.systems[0].metrics["kendall"]
    assert kendall.low is not None and kendall.low < (kendall.value or 0)


def test_few_posts_are_all_compared(judge: Judge) -> None:
    report = judge()
    assert (report.settings.compared_posts, report.settings.compared_authors) == (120, 12)
    assert "of the authors, with" not in render(report)


def test_errors_are_shares_on_a_log_scale_only(judge: Judge) -> None:
    assert judge().systems[0].metrics["mape"].value is None
    assert judge(log_scale=True).systems[0].metrics["mape"].value is not None


def test_examples(judge: Judge) -> None:
    labels, model = make_labels(), make_predictions(make_labels())
    details = Details(captions={"post-3": "three"}, images={"post-3": "data:image/png;base64,AAAA"})
    report = judge(details=details)
    error = np.abs(model.score - labels.y)
    assert report.worst[0].post_id == f"post-{error.argmax()}"
    assert report.best[0].post_id == f"post-{error.argmin()}"
    assert len(report.best) == len(report.worst) == 6
    few = Labels(["a", "b", "c"], np.arange(3), np.array([1.0, 2, 3]), np.array([False, False, True]))
    small = judge(labels=few, model=PredictionBatch(np.full(3, 0.5), np.array([1.1, 2.2, 3.3])), baselines={})
    assert [e.post_id for e in small.best + small.worst] == ["a", "c"]


def test_captions_and_images_find_their_post(judge: Judge) -> None:
    ids = make_labels().post_ids
    image = "data:image/png;base64,AAAA"
    details = Details(captions={i: f"of {i}" for i in ids}, images=dict.fromkeys(ids, image))
    assert all(e.caption == f"of {e.post_id}" and e.image == image for e in judge(details=details).best)


def test_modalities(judge: Judge) -> None:
    half = np.where(np.arange(120) < 60, 0.2, np.nan)
    shares = {"text": half, "image": np.full(120, 0.7), "audio": np.full(120, np.nan)}
    found = {m.name: (m.present, m.share) for m in judge(details=Details(contributions=shares)).modalities}
    assert found == {"image": (1.0, pytest.approx(0.7)), "text": (0.5, pytest.approx(0.2)), "audio": (0.0, None)}


def test_one_class_constant_scores_and_a_single_post(judge: Judge) -> None:
    labels = replace(make_labels(), is_viral=np.zeros(120, dtype=bool))
    report = judge(labels=labels, model=PredictionBatch(np.zeros(120), np.ones(120)))
    assert report.plots.roc is None
    assert report.systems[0].metrics["roc_auc"].value is None
    assert "undefined" in render(report)
    one = Labels(["a"], np.zeros(1, int), np.ones(1), np.ones(1, dtype=bool))
    render(judge(labels=one, model=PredictionBatch(np.ones(1), np.ones(1)), baselines={}))


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("probability", np.full(120, 1.5), "probabilities are 0 to 1"),
        ("probability", np.full(120, np.nan), "120 NaN or infinite values"),
        ("score", np.full(119, 1.0), "119 rows for 120 test posts"),
        ("high", np.full(120, np.inf), "NaN or infinite"),
    ],
)
def test_predictions_that_cannot_be(judge: Judge, column: str, values: np.ndarray, message: str) -> None:
    with pytest.raises(TableError, match=message):
        judge(model=replace(make_predictions(make_labels()), **{column: values}))


def test_a_baseline_of_another_length_and_no_posts(judge: Judge) -> None:
    with pytest.raises(TableError, match=r"constant\.probability has 3 rows"):
        judge(baselines={"constant": PredictionBatch(np.zeros(3), np.zeros(3))})
    with pytest.raises(TableError, match="no test posts"):
        judge(labels=make_labels(0, 1), model=make_predictions(make_labels(0, 1)), baselines={})


def test_the_same_inputs_give_the_same_report(judge: Judge) -> None:
    assert judge().to_json() == judge().to_json()
    assert judge(seed=1).to_json() != judge().to_json()
    assert baselines(make_labels()).keys() == {"constant", "metadata_gbm", "hour_only"}
