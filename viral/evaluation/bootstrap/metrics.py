"""Metrics of predictions: one dict per kind of question. `report/glossary.py` explains each metric.

Point values come from scikit-learn and scipy; calibration error, coverage and width from numpy. An undefined metric (a
single class, a constant column, no rows) is None.
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
_MIN_GROUP = 5  # posts of a group: the fewest of which a fifth is a whole post


def classification(y: npt.ArrayLike, p: npt.ArrayLike, threshold: float = 0.5) -> Metrics:
    """ROC-AUC, PR-AUC, accuracy, precision, recall, F1, Brier score and expected calibration error (15 bins).

    Args:
        y: whether each post is viral, (rows,).
        p: the probability that it is, (rows,), within 0 to 1.
        threshold: a post is called viral from this probability on.
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
    """MSE, RMSE, MAE, MAPE, nMSE (MSE over the variance of `y`), R2, and three correlations (Kendall's is tau-b).

    Args:
        y: the score that each post reached, (rows,).
        pred: the score predicted, (rows,).
        log_scale: whether the score is the logarithm of a count. Otherwise MAPE is None, since small counts would
            dominate it. It is None too where some `y` is 0.
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
        None if r2 is None else 1 - r2,
        r2,
        _correlation(stats.spearmanr, y, pred),
        _correlation(stats.pearsonr, y, pred),
        _correlation(stats.kendalltau, y, pred),
    ]


def accuracy_above(y: npt.ArrayLike, pred: npt.ArrayLike, threshold: float) -> Metrics:
    """Share of posts whose score and predicted score lie on the same side of a threshold.

    Args:
        y: the score that each post reached, (rows,).
        pred: the score predicted, (rows,).
        threshold: the 75th percentile of the training posts' scores.
    """
    truth, called = np.asarray(y, dtype=np.float64) > threshold, np.asarray(pred, dtype=np.float64) > threshold
    if not len(truth):
        return {"accuracy_at_75": None}
    from sklearn import metrics

    with _unchecked():
        return {"accuracy_at_75": _number(metrics.accuracy_score(truth, called))}


def _correlation(measure: Callable[[Floats, Floats], Any], y: Floats, pred: Floats) -> float | None:
    if _constant(y) or _constant(pred):
        return None
    from scipy import stats

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
    """NDCG@K, recall@K, pairwise accuracy and precision of the top 20 %, of one list sorted by `pred`.

    The NDCG gain is the percentile of `y`, since a score may be negative. Recall@K is the share of the viral posts
    among the first K. Pairwise accuracy is the probability that of two posts with different `y` the better one ranks
    higher, a tie in `pred` counting half: (Somers' D + 1) / 2, from Kendall's tau-b.

    Args:
        y: the score that each post reached, (rows,).
        pred: sort key of the posts, (rows,).
        is_viral: (rows,).
        k: length of the top list.
        tie_breaker: order among equal posts, lowest first, (rows,); None: `fixed_tie_breaker`.
    """
    truth, predicted = np.asarray(y, dtype=np.float64), np.asarray(pred, dtype=np.float64)
    viral = np.asarray(is_viral, dtype=bool)
    if _constant(predicted):
        return dict.fromkeys(("ndcg_at_k", "recall_at_k", "pairwise_accuracy", "top20_precision"))
    with _unchecked():
        return {
            "ndcg_at_k": _ndcg(truth, predicted, k),
            "recall_at_k": _recall(viral, _highest(predicted, k, tie_breaker)),
            "pairwise_accuracy": _pairwise(truth, predicted),
            "top20_precision": None
            if _constant(truth)
            else top_precision(top(truth, tie_breaker=tie_breaker), top(predicted, tie_breaker=tie_breaker)),
        }


def _ndcg(y: Floats, pred: Floats, k: int) -> float | None:
    from scipy import stats
    from sklearn import metrics

    if _constant(y):
        return None
    gain = stats.rankdata(y) / len(y)
    return _number(metrics.ndcg_score(gain[None], pred[None], k=k))


def _recall(viral: Bools, listed: Bools) -> float | None:
    from sklearn import metrics

    return _number(metrics.recall_score(viral, listed, zero_division=math.nan))


def _pairwise(y: Floats, pred: Floats) -> float | None:
    tau = None if _constant(y) else _correlation(_tau_b, y, pred)
    if tau is None:
        return None
    # tau-b divides by both numbers of untied pairs, Somers' D by that of `y` alone.
    return (tau * math.sqrt(_untied_pairs(pred) / _untied_pairs(y)) + 1) / 2


def _tau_b(y: Floats, pred: Floats) -> Any:
    from scipy import stats

    return stats.kendalltau(y, pred, variant="b")


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
    """Mask of the highest `fraction` of the values, at least one: of all, or of each group with five posts or more.

    The tie breaker orders equal values, by default a fixed shuffle: neither the order of rows nor a constant column
    helps.
    """
    column = np.asarray(values, dtype=np.float64)
    if groups is None:
        return _highest(column, max(1, round(fraction * len(column))), tie_breaker)
    order = np.lexsort((fixed_tie_breaker(len(column)) if tie_breaker is None else tie_breaker, -column, groups))
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    limits = np.where(sizes >= _MIN_GROUP, np.maximum(1, np.round(fraction * sizes)), 0)
    rank = np.arange(len(column)) - np.repeat(starts, sizes)
    mask = np.zeros(len(column), dtype=bool)
    # `rank` counts from 0 within each group, in the sorted order.
    mask[order] = rank < np.repeat(limits, sizes)
    return mask


def _highest(column: Floats, count: int, tie_breaker: TieBreaker | None) -> Bools:
    order = np.lexsort((fixed_tie_breaker(len(column)) if tie_breaker is None else tie_breaker, -column))
    mask = np.zeros(len(column), dtype=bool)
    mask[order[:count]] = True
    return mask


def fixed_tie_breaker(count: int) -> TieBreaker:
    """A fixed shuffle that orders equal values, (count,)."""
    return np.random.default_rng(0).permutation(count)


def top_precision(actual: Bools, predicted: Bools) -> float | None:
    """Share of the posts marked in `predicted` that are marked in `actual`."""
    from sklearn import metrics

    with _unchecked():
        return _number(metrics.precision_score(actual, predicted, zero_division=math.nan))


def intervals(y: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike, level: float = 0.9) -> Metrics:
    """Coverage and mean width of the intervals, and the pinball loss of their two ends.

    Args:
        y: the score that each post reached, (rows,).
        low: predicted quantile (1 - level) / 2, (rows,).
        high: predicted quantile (1 + level) / 2, (rows,).
        level: nominal coverage.
    """
    truth, bottom, ceiling = (np.asarray(column, dtype=np.float64) for column in (y, low, high))
    if not len(truth):
        return dict.fromkeys(("coverage", "width", "pinball"))
    from sklearn import metrics

    tail = (1 - level) / 2
    with _unchecked():
        losses = [metrics.mean_pinball_loss(truth, q, alpha=a) for q, a in ((bottom, tail), (ceiling, 1 - tail))]
        return {
            "coverage": _number(((bottom <= truth) & (truth <= ceiling)).mean()),
            "width": _number(np.abs(ceiling - bottom).mean()),
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
