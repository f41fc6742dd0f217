"""Metrics of weighted rows that follow from sums over rows: one matrix product gives the sums of many resamples.

They equal the values of `metrics` for repeated rows (tests check this).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap.calibration_error import CALIBRATION_BINS, calibration_bins

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Columns = dict[str, Floats]


@dataclass(frozen=True)
class AuthorSums:
    """Columns summed per author.

    Attributes:
        names: column names; the first is `rows`.
        table: the sums, (authors, names).
    """

    names: tuple[str, ...]
    table: Floats

    @classmethod
    def from_columns(cls, columns: Columns, author_index: npt.NDArray[np.int64]) -> AuthorSums:
        """Sum columns, each (rows,), by the author of each row, (rows,)."""
        sums = [np.bincount(author_index, column) for column in (np.ones(len(author_index)), *columns.values())]
        return cls(("rows", *columns), np.stack(sums, axis=1))

    def resample(self, counts: Floats) -> Columns:
        """Return the sums in each resample, (resamples,), from its author counts, (resamples, authors)."""
        return dict(zip(self.names, (counts @ self.table).T, strict=True))


def classification_columns(viral: Bools, probability: Floats, threshold: float) -> Columns:
    """Return columns whose sums give the classification metrics; each (rows,)."""
    called, error = probability >= threshold, viral - probability
    bins = calibration_bins(probability)
    # Each bin adds |sum of errors| / rows to the calibration error.
    by_bin = {f"bin_{i}": np.where(bins == i, error, 0.0) for i in range(CALIBRATION_BINS + 1)}
    masks = {"viral": viral, "called": called, "hits": viral & called}
    return {name: mask.astype(np.float64) for name, mask in masks.items()} | {"brier": error**2} | by_bin


def classification(sums: Mapping[str, Floats]) -> Columns:
    """Return the metrics from the sums of `classification_columns`, each (resamples,)."""
    # Divisions by zero give NaN or infinity, which the caller masks.
    rows, viral, called, hits = (sums[name] for name in ("rows", "viral", "called", "hits"))
    gaps = np.stack([np.abs(sums[f"bin_{i}"]) for i in range(CALIBRATION_BINS + 1)])
    return {
        "accuracy": (rows - viral - called + 2 * hits) / rows,
        "precision": hits / called,
        "recall": hits / viral,
        "f1": 2 * hits / (viral + called),
        "brier": sums["brier"] / rows,
        "ece": gaps.sum(axis=0) / rows,
    }


def regression_columns(y: Floats, score: Floats) -> Columns:
    """Return columns whose sums give the regression metrics; each (rows,).

    Scores are centred on their median, so that computing a variance from two sums loses little precision.
    """
    truth, predicted, error = y - np.median(y), score - np.median(score), np.abs(y - score)
    relative = {"share": error / np.maximum(np.abs(y), np.finfo(np.float64).eps), "zeros": (y == 0).astype(np.float64)}
    moments = {"y": truth, "yy": truth**2, "s": predicted, "ss": predicted**2, "ys": truth * predicted}
    return {"error": error, "squared": error**2} | relative | moments


def regression(sums: Mapping[str, Floats], *, log_scale: bool) -> Columns:
    """Return the metrics from the sums of `regression_columns`, each (resamples,).

    In resamples with a constant column some are NaN, infinite or rounding errors; the caller masks these.
    """
    rows, y, score = (sums[name] for name in ("rows", "y", "s"))
    mse, y_squares, score_squares = sums["squared"] / rows, sums["yy"] - y**2 / rows, sums["ss"] - score**2 / rows
    mape = np.where(sums["zeros"] > 0, np.nan, sums["share"] / rows)
    return {
        "mse": mse,
        "rmse": np.sqrt(mse),
        "mae": sums["error"] / rows,
        "mape": mape if log_scale else np.full(len(rows), np.nan),
        "nmse": sums["squared"] / y_squares,
        "r2": 1 - sums["squared"] / y_squares,
        "pearson": np.clip((sums["ys"] - y * score / rows) / np.sqrt(y_squares * score_squares), -1, 1),
    }


def interval_columns(y: Floats, low: Floats, high: Floats, level: float) -> Columns:
    """Return coverage, width and pinball loss of each row, (rows,); their means are the metrics."""
    tail = (1 - level) / 2
    losses = [np.maximum(alpha * (y - end), (alpha - 1) * (y - end)) for end, alpha in ((low, tail), (high, 1 - tail))]
    return {
        "coverage": ((low <= y) & (y <= high)).astype(np.float64),
        "width": np.abs(high - low),
        "pinball": (losses[0] + losses[1]) / 2,
    }
