from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from viral.evaluation.bootstrap.metrics import (
    accuracy_above,
    classification,
    intervals,
    ranking,
    regression,
    top,
    top_precision,
)
from viral.evaluation.report.glossary import GLOSSARY


@pytest.fixture
def sample() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.normal(size=300)
    pred = np.round(y + rng.normal(size=300), 1)  # rounded: ties
    return y, pred, y > 0.8, np.round(1 / (1 + np.exp(-pred)), 2)


def test_classification_is_scikit_learns_own(sample) -> None:
    _, _, viral, p = sample
    got = classification(viral, p, threshold=0.6)
    called = p >= 0.6
    del got["ece"]  # it has none
    assert got == {
        "roc_auc": sk.roc_auc_score(viral, p),
        "pr_auc": sk.average_precision_score(viral, p),
        "accuracy": sk.accuracy_score(viral, called),
        "precision": sk.precision_score(viral, called),
        "recall": sk.recall_score(viral, called),
        "f1": sk.f1_score(viral, called),
        "brier": sk.brier_score_loss(viral, p),
    }


def test_the_rest_is_scikit_learns_own_where_it_has_it(sample) -> None:
    y, pred, viral, _ = sample
    y = y + 10
    got = regression(y, pred, log_scale=True) | ranking(y, pred, viral, k=30) | accuracy_above(y, pred, 10.5)
    first = top(pred, fraction=0.1)
    expected = {
        "mse": sk.mean_squared_error(y, pred),
        "rmse": sk.root_mean_squared_error(y, pred),
        "mae": sk.mean_absolute_error(y, pred),
        "mape": sk.mean_absolute_percentage_error(y, pred),
        "r2": sk.r2_score(y, pred),
        "ndcg_at_k": sk.ndcg_score([stats.rankdata(y) / 300], [pred], k=30),
        "recall_at_k": sk.recall_score(viral, first),
        "top20_precision": sk.precision_score(top(y), top(pred)),
        "accuracy_at_75": sk.accuracy_score(y > 10.5, pred > 10.5),
    }
    assert {name: got[name] for name in expected} == expected


def test_errors_as_shares_need_a_log_scale_and_no_zero() -> None:
    assert regression([1, 2, 4], [2, 2, 2], log_scale=True)["mape"] == pytest.approx(1.5 / 3)
    assert regression([1, 2, 4], [2, 2, 2])["mape"] is None
    assert regression([0, 2, 4], [2, 2, 2], log_scale=True)["mape"] is None


def test_the_tie_breaker_orders_equals() -> None:
    viral, flat = np.array([True, False, False, False]), np.array([1.0, 1.0, 1.0, 0.0])
    first, last = np.array([0, 1, 2, 3]), np.array([3, 2, 1, 0])
    assert ranking([4, 3, 2, 1], flat, viral, k=1, tie_breaker=first)["recall_at_k"] == 1
    assert ranking([4, 3, 2, 1], flat, viral, k=1, tie_breaker=last)["recall_at_k"] == 0
    assert top([1, 1, 0], tie_breaker=np.array([1, 0, 2])).tolist() == [False, True, False]


def test_the_threshold_counts_as_viral() -> None:
    assert classification([True, False], [0.5, 0.4])["recall"] == 1


def test_calibration_error_by_hand() -> None:
    # One bin: stated 0.3, happened 0.5.
    assert classification([True, False, True, False], [0.3] * 4)["ece"] == pytest.approx(0.2)
    assert classification([True, False], [1.0, 0.0])["ece"] == 0


def test_calibration_error_is_that_of_the_reliability_curve() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 30, 1000):
        p = rng.random(count) ** 2
        viral = rng.random(count) < p**2
        frequency, mean = calibration_curve(viral, p, n_bins=15)
        sizes = np.histogram(p, 15, (0, 1))[0]
        expected = (np.abs(frequency - mean) * sizes[sizes > 0]).sum() / count
        assert classification(viral, p)["ece"] == pytest.approx(expected, abs=1e-12)


def test_one_class_and_no_rows_are_undefined() -> None:
    got = classification([False] * 4, [0.1, 0.2, 0.3, 0.9])
    assert [name for name, value in got.items() if value is None] == ["roc_auc", "pr_auc", "recall"]
    none_called = classification([True, False], [0.1, 0.2])
    assert none_called["precision"] is None
    assert none_called["recall"] == 0
    assert set(classification([], []).values()) == {None}
    assert set(regression([], []).values()) == {None}
    assert set(ranking([], [], []).values()) == {None}
    assert set(intervals([], [], []).values()) == {None}


def test_regression_equals_its_libraries(sample) -> None:
    y, pred, *_ = sample
    got = regression(y, pred)
    assert got["mse"] == pytest.approx(np.mean((y - pred) ** 2))
    assert got["rmse"] == pytest.approx(np.sqrt(np.mean((y - pred) ** 2)))
    assert got["mae"] == pytest.approx(np.mean(np.abs(y - pred)))
    assert got["nmse"] == pytest.approx(np.mean((y - pred) ** 2) / np.var(y))
    assert got["r2"] == pytest.approx(sk.r2_score(y, pred))
    assert got["spearman"] == pytest.approx(stats.spearmanr(y, pred).statistic)
    assert got["pearson"] == pytest.approx(np.corrcoef(y, pred)[0, 1])
    assert got["kendall"] == pytest.approx(stats.kendalltau(y, pred).statistic)


@pytest.mark.parametrize(("y", "pred"), [([1, 2, 3], [5, 5, 5]), ([5, 5, 5], [1, 2, 3]), ([1], [2])])
def test_a_constant_has_no_correlation(y: list[float], pred: list[float]) -> None:
    got = regression(y, pred)
    assert (got["spearman"], got["pearson"], got["kendall"]) == (None, None, None)
    assert got["mse"] is not None


def test_a_nearly_constant_column_warns_nobody() -> None:
    assert regression([1.0, 2.0, 3.0], [1.0, 1.0 + 1e-15, 1.0 + 2e-15])["mse"] is not None


def test_pairwise_accuracy_counts_pairs(sample) -> None:
    y, pred, viral, _ = sample
    y = np.round(y, 1)
    apart = y[:, None] > y[None, :]
    right = (pred[:, None] > pred[None, :]) + 0.5 * (pred[:, None] == pred[None, :])
    assert ranking(y, pred, viral)["pairwise_accuracy"] == pytest.approx(right[apart].mean())


def test_ranking_of_the_best_and_of_the_worst_order() -> None:
    y = np.arange(50.0) - 25
    best, worst = ranking(y, y, y > 14, k=10), ranking(y, -y, y > 14, k=10)
    assert best == pytest.approx(dict.fromkeys(best, 1))
    assert worst["recall_at_k"] == worst["pairwise_accuracy"] == worst["top20_precision"] == 0
    assert worst["ndcg_at_k"] is not None and worst["ndcg_at_k"] < 0.3
    assert ranking(y, y, y > 14, k=5)["recall_at_k"] == pytest.approx(0.5)
    assert ranking(y, y, y > 14, k=1000)["recall_at_k"] == 1


def test_ranking_undefined() -> None:
    assert set(ranking([1, 2, 3], [1, 1, 1], [True, False, False]).values()) == {None}
    no_viral = ranking([1, 2, 3], [1, 2, 3], [False] * 3)
    assert no_viral["recall_at_k"] is None
    same = ranking([1, 1, 1], [1, 2, 3], [True, False, False])
    assert same["ndcg_at_k"] is None and same["pairwise_accuracy"] is None and same["top20_precision"] is None


def test_top_within_groups_of_five_or_more() -> None:
    values = np.array([5, 4, 3, 2, 1, 9, 8, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10.0])
    groups = np.array([0] * 5 + [1] * 3 + [2] * 10)
    assert np.flatnonzero(top(values, groups)).tolist() == [0, 16, 17]
    order = np.random.default_rng(0).permutation(18)
    assert (top(values[order], groups[order]) == top(values, groups)[order]).all()
    assert np.flatnonzero(top(values)).tolist() == [5, 6, 16, 17]


def test_top_of_a_constant_is_drawn_blindly() -> None:
    actual = np.arange(10_000) < 2000
    found = top_precision(actual, top(np.zeros(10_000)))
    assert found == pytest.approx(0.2, abs=0.03)
    assert top_precision(actual, np.zeros(10_000, dtype=bool)) is None


def test_intervals() -> None:
    got = intervals([0, 1, 2, 10], [-1, 0, 3, 0], [1, 2, 4, 9], level=0.8)
    assert got["coverage"] == 0.5
    assert got["width"] == pytest.approx((2 + 2 + 1 + 9) / 4)
    low = sk.mean_pinball_loss([0, 1, 2, 10], [-1, 0, 3, 0], alpha=0.1)
    high = sk.mean_pinball_loss([0, 1, 2, 10], [1, 2, 4, 9], alpha=0.9)
    assert got["pinball"] == pytest.approx((low + high) / 2)


def test_accuracy_at_the_75th_percentile() -> None:
    assert accuracy_above([0, 1, 2, 3, 4], [5, 0, 2.5, 1, 9], 2) == {"accuracy_at_75": pytest.approx(2 / 5)}
    assert accuracy_above([2, 2], [2, 3], 2) == {"accuracy_at_75": 0.5}  # at the percentile is not above it
    assert accuracy_above([], [], 2) == {"accuracy_at_75": None}


def test_every_figure_is_in_the_glossary(sample) -> None:
    y, pred, viral, p = sample
    names = {*classification(viral, p), *regression(y, pred), *ranking(y, pred, viral), *intervals(y, pred, pred)}
    names |= {*accuracy_above(y, pred, 0.0)}
    assert names | {"top20_precision_within_author"} == set(GLOSSARY)
