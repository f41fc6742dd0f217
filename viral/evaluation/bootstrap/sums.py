"""The figures that follow from sums over rows, of weighted rows: one matrix product gives those of many resamples.

They equal those of `metrics` for the same rows repeated (tests hold them to it).
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
    """Columns of rows, added up for each author.

    Attributes:
        names: of the columns; the first is `rows`.
        table: (authors, names).
    """

    names: tuple[str, ...]
    table: Floats

    @classmethod
    def of(cls, columns: Columns, places: npt.NDArray[np.int64]) -> AuthorSums:
        """Adds up columns, each (rows,), by the author that each row is of, (rows,)."""
        added = [np.bincount(places, column) for column in (np.ones(len(places)), *columns.values())]
        return cls(("rows", *columns), np.stack(added, axis=1))

    def weigh(self, counts: Floats) -> Columns:
        """The sums of each resample, (resamples,), from how often each holds each author, (resamples, authors)."""
        return dict(zip(self.names, (counts @ self.table).T, strict=True))


def called_columns(viral: Bools, probability: Floats, threshold: float) -> Columns:
    """What the figures of a classification are made of; each (rows,)."""
    called, miss = probability >= threshold, viral - probability
    bins = calibration_bins(probability)
    of_bins = {f"bin_{at}": np.where(bins == at, miss, 0.0) for at in range(CALIBRATION_BINS + 1)}
    counts = {"viral": viral, "called": called, "hits": viral & called}
    return {name: marks.astype(np.float64) for name, marks in counts.items()} | {"brier": miss**2} | of_bins


def classification(sums: Mapping[str, Floats]) -> Columns:
    """From the sums of `called_columns`, each (resamples,), to the figures."""
    rows, viral, called, hits = (sums[name] for name in ("rows", "viral", "called", "hits"))
    misses = np.stack([np.abs(sums[f"bin_{at}"]) for at in range(CALIBRATION_BINS + 1)])
    return {
        "accuracy": (rows - viral - called + 2 * hits) / rows,
        "precision": hits / called,
        "recall": hits / viral,
        "f1": 2 * hits / (viral + called),
        "brier": sums["brier"] / rows,
        "ece": misses.sum(axis=0) / rows,
    }


def score_columns(y: Floats, score: Floats) -> Columns:
    """What the figures of a regression are made of; each (rows,).

    Scores count from their median, so that little is lost where a variance is the difference of two large sums.
    """
    truth, said, error = y - np.median(y), score - np.median(score), np.abs(y - score)
    shares = {"share": error / np.maximum(np.abs(y), np.finfo(np.float64).eps), "zeros": (y == 0).astype(np.float64)}
    moments = {"y": truth, "yy": truth**2, "s": said, "ss": said**2, "ys": truth * said}
    return {"error": error, "squared": error**2} | shares | moments


def regression(sums: Mapping[str, Floats], *, log_scale: bool) -> Columns:
    """From the sums of `score_columns`, each (resamples,), to the figures; NaN or infinite where a column is constant.

    Rounding may hide that a column is constant: who calls this must know.
    """
    rows, of_y, of_s = (sums[name] for name in ("rows", "y", "s"))
    mse, spread, spread_s = sums["squared"] / rows, sums["yy"] - of_y**2 / rows, sums["ss"] - of_s**2 / rows
    share = np.where(sums["zeros"] > 0, np.nan, sums["share"] / rows)
    return {
        "mse": mse,
        "rmse": np.sqrt(mse),
        "mae": sums["error"] / rows,
        "mape": share if log_scale else np.full(len(rows), np.nan),
        "nmse": sums["squared"] / spread,
        "r2": 1 - sums["squared"] / spread,
        "pearson": np.clip((sums["ys"] - of_y * of_s / rows) / np.sqrt(spread * spread_s), -1, 1),
    }


def interval_columns(y: Floats, low: Floats, high: Floats, level: float) -> Columns:
    """The figures of intervals, of each row, (rows,): coverage, width and pinball loss."""
    tail = (1 - level) / 2
    losses = [np.maximum(alpha * (y - end), (alpha - 1) * (y - end)) for end, alpha in ((low, tail), (high, 1 - tail))]
    return {
        "coverage": ((low <= y) & (y <= high)).astype(np.float64),
        "width": np.abs(high - low),
        "pinball": (losses[0] + losses[1]) / 2,
    }
