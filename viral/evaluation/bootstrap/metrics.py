"""Metrics of predictions, computed with scikit-learn, scipy and numpy. `report/glossary.py` explains each metric.

An undefined metric (a single class, a constant column, no rows) is None.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap.calibration_error import calibration_error

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
TieBreaker = npt.NDArray[np.int64]
Metrics = dict[str, float | None]

TOP_FRACTION = 0.2  # stored metric names contain it: `top20_precision`
_MIN_GROUP = 5  # the smallest group whose top 20 % is a whole post


def classification(y: npt.ArrayLike, p: npt.ArrayLike, threshold: float = 0.5) -> Metrics:
    """Return ROC-AUC, PR-AUC, accuracy, precision, recall, F1, Brier score and expected calibration error (15 bins).

    Args:
        y: whether each post is viral, (rows,).
        p: predicted probability of viral, (rows,), within 0 to 1.
        threshold: lowest probability at which a post is called viral.
    """
    truth, probability = np.asarray(y, dtype=bool), np.asarray(p, dtype=np.float64)
    names = ("roc_auc", "pr_auc", "accuracy", "precision", "recall", "f1", "brier", "ece")
    if not len(truth):
        return dict.fromkeys(names)
    with _unchecked():
        return dict(zip(names, _classification(truth, probability, probability >= threshold), strict=True))


def _classification(y: Bools, p: Floats, called: Bools) -> list[float | None]:
    from sklearn import metrics

    both = bool(y.any() and not y.all())
    # NaN where nothing is called viral, or nothing is: `_number` makes None of it.
    prf = metrics.precision_recall_fscore_support(y, called, average="binary", zero_division=math.nan)[:3]
    return [
        _number(metrics.roc_auc_score(y, p)) if both else None,
        _number(metrics.average_precision_score(y, p)) if both else None,
        _number(metrics.accuracy_score(y, called)),
        *(_number(value) for value in prf),
        _number(metrics.brier_score_loss(y, p, pos_label=True)),
        _number(calibration_error(y, p)),
    ]


def regression(y: npt.ArrayLike, pred: npt.ArrayLike, *, log_scale: bool = False) -> Metrics:
    """Return MSE, RMSE, MAE, MAPE, nMSE (MSE over the variance of `y`), R2 and three correlations (Kendall: tau-b).

    Args:
        y: actual score of each post, (rows,).
        pred: predicted score, (rows,).
        log_scale: whether the score is the logarithm of a count. Otherwise MAPE is None, since small counts would
            dominate it. MAPE is also None if any `y` is 0.
    """
    truth, predicted = np.asarray(y, dtype=np.float64), np.asarray(pred, dtype=np.float64)
    names = ("mse", "rmse", "mae", "mape", "nmse", "r2", "spearman", "pearson", "kendall")
    if not len(truth):
        return dict.fromkeys(names)
    with _unchecked():
        return dict(zip(names, _regression(truth, predicted, log_scale and bool(truth.all())), strict=True))


def _regression(y: Floats, pred: Floats, with_mape: bool) -> list[float | None]:
    from scipy import stats
    from sklearn import metrics

    mse = metrics.mean_squared_error(y, pred)
    r2 = None if _constant(y) else float(metrics.r2_score(y, pred))
    return [
        _number(mse),
        _number(math.sqrt(mse)),
        _number(metrics.mean_absolute_error(y, pred)),
        _number(metrics.mean_absolute_percentage_error(y, pred)) if with_mape else None,
        # NMSE is the MSE divided by the variance of `y`, which is 1 - R².
        None if r2 is None else 1 - r2,
        r2,
        _correlation(stats.spearmanr, y, pred),
        _correlation(stats.pearsonr, y, pred),
        _correlation(stats.kendalltau, y, pred),
    ]


def accuracy_above(y: npt.ArrayLike, pred: npt.ArrayLike, threshold: float) -> Metrics:
    """Return the share of posts whose actual and predicted score are on the same side of a threshold.

    Args:
        y: actual score of each post, (rows,).
        pred: predicted score, (rows,).
        threshold: the 75th percentile of the training posts' scores.
    """
    truth, called = np.asarray(y, dtype=np.float64) > threshold, np.asarray(pred, dtype=np.float64) > threshold
    if not len(truth):
        return {"accuracy_at_75": None}
    from sklearn import metrics

    with _unchecked():
        return {"accuracy_at_75": _number(metrics.accuracy_score(truth, called))}


def _correlation(measure: Callable[[Floats, Floats], Any], y: Floats, pred: Floats) -> float | None:
    from scipy import stats

    if _constant(y) or _constant(pred):
        return None
    with warnings.catch_warnings():
        # A nearly constant column still has a correlation.
        warnings.simplefilter("ignore", stats.NearConstantInputWarning)
        return _number(measure(y, pred).statistic)


def ranking(
    y: npt.ArrayLike,
    pred: npt.ArrayLike,
    is_viral: npt.ArrayLike,
    k: int = 10,
    *,
    tie_breaker: TieBreaker | None = None,
) -> Metrics:
    """Return NDCG@K, recall@K, pairwise accuracy and top-20 % precision of the posts sorted by `pred`.

    The NDCG gain is the percentile of `y`, since a score may be negative. Recall@K is the share of the viral posts
    among the first K. Pairwise accuracy is the probability that the better of two posts with different `y` ranks
    higher, with ties in `pred` counted as half: (Somers' D + 1) / 2, computed from Kendall's tau-b.

    Args:
        y: actual score of each post, (rows,).
        pred: predicted score, (rows,).
        is_viral: whether each post is viral, (rows,).
        k: length of the top list.
        tie_breaker: order of posts with equal `pred`, lowest first, (rows,); None: `fixed_tie_breaker`.
    """
    truth, predicted = np.asarray(y, dtype=np.float64), np.asarray(pred, dtype=np.float64)
    viral = np.asarray(is_viral, dtype=bool)
    if _constant(predicted):
        return dict.fromkeys(("ndcg_at_k", "recall_at_k", "pairwise_accuracy", "top20_precision"))
    from scipy import stats
    from sklearn import metrics

    with _unchecked():
        recall = metrics.recall_score(viral, _highest(predicted, k, tie_breaker), zero_division=math.nan)
        values: Metrics = {"ndcg_at_k": None, "recall_at_k": _number(recall)}
        if _constant(truth):
            return values | {"pairwise_accuracy": None, "top20_precision": None}
        gain = stats.rankdata(truth) / len(truth)
        actual_top, predicted_top = (top(column, tie_breaker=tie_breaker) for column in (truth, predicted))
        return values | {
            "ndcg_at_k": _number(metrics.ndcg_score(gain[None], predicted[None], k=k)),
            "pairwise_accuracy": _pairwise(truth, predicted),
            "top20_precision": top_precision(actual_top, predicted_top),
        }


def _pairwise(y: Floats, pred: Floats) -> float | None:
    from scipy import stats

    tau = _correlation(stats.kendalltau, y, pred)  # tau-b is the default variant
    if tau is None:
        return None
    # tau-b divides by the root of the untied pairs of `pred` times those of `y`, Somers' D by those of `y`.
    return (tau * math.sqrt(_untied_pairs(pred) / _untied_pairs(y)) + 1) / 2


def _untied_pairs(values: Floats) -> float:
    _, sizes = np.unique(values, return_counts=True)
    return float(len(values) * (len(values) - 1) / 2 - (sizes * (sizes - 1) / 2).sum())


def top(
    values: npt.ArrayLike,
    groups: npt.NDArray[np.int64] | None = None,
    fraction: float = TOP_FRACTION,
    *,
    tie_breaker: TieBreaker | None = None,
) -> Bools:
    """Return a mask of the highest `fraction` of all values, or of the values in each group of five posts or more.

    At least one value per group is marked. The tie breaker orders equal values, by default by a fixed shuffle, so a
    constant column or sorted rows give no advantage.
    """
    column = np.asarray(values, dtype=np.float64)
    if groups is None:
        return _highest(column, max(1, round(fraction * len(column))), tie_breaker)
    order = np.lexsort((fixed_tie_breaker(len(column)) if tie_breaker is None else tie_breaker, -column, groups))
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    limits = np.where(sizes >= _MIN_GROUP, np.maximum(1, np.round(fraction * sizes)), 0)
    rank = np.arange(len(column)) - np.repeat(starts, sizes)  # from 0 within each group
    mask = np.zeros(len(column), dtype=bool)
    mask[order] = rank < np.repeat(limits, sizes)
    return mask


def _highest(column: Floats, count: int, tie_breaker: TieBreaker | None) -> Bools:
    order = np.lexsort((fixed_tie_breaker(len(column)) if tie_breaker is None else tie_breaker, -column))
    mask = np.zeros(len(column), dtype=bool)
    mask[order[:count]] = True
    return mask


def fixed_tie_breaker(count: int) -> TieBreaker:
    """Return a fixed shuffle that orders equal values, (count,)."""
    return np.random.default_rng(0).permutation(count)


def top_precision(actual: Bools, predicted: Bools) -> float | None:
    """Return the share of the posts marked in `predicted` that are marked in `actual`."""
    from sklearn import metrics

    with _unchecked():
        return _number(metrics.precision_score(actual, predicted, zero_division=math.nan))


def intervals(y: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike, level: float = 0.9) -> Metrics:
    """Return coverage and mean width of the intervals, and the pinball loss of their two ends.

    Args:
        y: actual score of each post, (rows,).
        low: predicted quantile (1 - level) / 2, (rows,).
        high: predicted quantile (1 + level) / 2, (rows,).
        level: nominal coverage.
    """
    truth, lower, upper = (np.asarray(column, dtype=np.float64) for column in (y, low, high))
    if not len(truth):
        return dict.fromkeys(("coverage", "width", "pinball"))
    from sklearn import metrics

    tail = (1 - level) / 2
    with _unchecked():
        losses = [metrics.mean_pinball_loss(truth, q, alpha=a) for q, a in ((lower, tail), (upper, 1 - tail))]
        return {
            "coverage": _number(((lower <= truth) & (truth <= upper)).mean()),
            "width": _number(np.abs(upper - lower).mean()),
            "pinball": _number(np.mean(losses)),
        }


def _unchecked() -> Any:
    """scikit-learn without argument checks, which take most of the time of a small call."""
    import sklearn

    return sklearn.config_context(assume_finite=True, skip_parameter_validation=True)


def _constant(values: Floats) -> bool:
    return len(values) < 2 or bool(np.ptp(values) == 0)


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
