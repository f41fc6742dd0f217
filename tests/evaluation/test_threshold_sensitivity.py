from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from tests.evaluation.conftest import forecast, truth
from viral.evaluation.threshold_sensitivity import SHARES, cuts


def test_each_bar_is_judged_as_scikit_learn_does() -> None:
    actual, train = truth(400, 60), np.random.default_rng(5).normal(size=1000)
    said = forecast(actual)
    found = cuts(actual, said, train, resamples=30)
    assert [cut.share for cut in found] == list(SHARES)
    for cut in found:
        assert cut.threshold == np.quantile(train, 1 - cut.share)
        viral = actual.y > cut.threshold
        assert cut.viral == viral.mean()
        assert cut.figures["roc_auc"].value == pytest.approx(sk.roc_auc_score(viral, said.score))
        assert cut.figures["pr_auc"].value == pytest.approx(sk.average_precision_score(viral, said.score))
        for estimate in cut.figures.values():
            assert estimate.low is not None and estimate.low <= estimate.value <= estimate.high


def test_a_bar_that_no_post_is_above() -> None:
    actual = truth()
    found = cuts(actual, forecast(actual), np.array([0.0] * 60 + [1.0] * 40), resamples=5)
    assert [cut.share for cut in found] == [0.5]  # the greatest 40 % tie
    nobody = cuts(actual, forecast(actual), actual.y + 100, resamples=5)
    assert {cut.viral for cut in nobody} == {0.0}
    assert {figure.value for cut in nobody for figure in cut.figures.values()} == {None}


def test_a_model_without_a_score_is_ranked_by_its_probability() -> None:
    actual = truth()
    said = replace(forecast(actual), score=np.zeros(120))
    (cut,) = cuts(actual, said, actual.y, shares=(0.25,), resamples=5)
    assert cut.figures["roc_auc"].value == pytest.approx(sk.roc_auc_score(actual.y > cut.threshold, said.probability))
