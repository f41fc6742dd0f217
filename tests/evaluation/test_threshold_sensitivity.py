from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from tests.evaluation.conftest import make_labels, make_predictions
from viral.evaluation.threshold_sensitivity import FRACTIONS, evaluate_thresholds


def test_each_threshold_is_evaluated_as_by_scikit_learn() -> None:
    labels, train = make_labels(400, 60), np.random.default_rng(5).normal(size=1000)
    predictions = make_predictions(labels)
    results = evaluate_thresholds(labels, predictions, train, resamples=30)
    assert [result.share for result in results] == list(FRACTIONS)
    for result in results:
        assert result.threshold == np.quantile(train, 1 - result.share)
        viral = labels.y > result.threshold
        assert result.viral == viral.mean()
        assert result.metrics["roc_auc"].value == pytest.approx(sk.roc_auc_score(viral, predictions.score))
        assert result.metrics["pr_auc"].value == pytest.approx(sk.average_precision_score(viral, predictions.score))
        for estimate in result.metrics.values():
            assert estimate.low is not None and estimate.low <= estimate.value <= estimate.high


def test_a_threshold_that_no_post_is_above() -> None:
    labels = make_labels()
    results = evaluate_thresholds(labels, make_predictions(labels), np.array([0.0] * 60 + [1.0] * 40), resamples=5)
    assert [result.share for result in results] == [0.5]  # the greatest 40 % tie
    nobody = evaluate_thresholds(labels, make_predictions(labels), labels.y + 100, resamples=5)
    assert {result.viral for result in nobody} == {0.0}
    assert {metric.value for result in nobody for metric in result.metrics.values()} == {None}


def test_a_model_without_a_score_is_ranked_by_its_probability() -> None:
    labels = make_labels()
    predictions = replace(make_predictions(labels), score=np.zeros(120))
    (result,) = evaluate_thresholds(labels, predictions, labels.y, fractions=(0.25,), resamples=5)
    assert result.metrics["roc_auc"].value == pytest.approx(
        sk.roc_auc_score(labels.y > result.threshold, predictions.probability)
    )
