"""The smaller comparisons of a scorecard: three figures, with intervals from some of the authors and fewer draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap import AuthorBootstrap, Estimate, Replicates
from viral.evaluation.metrics import Bools, Figures, Floats

Rows = npt.NDArray[np.int64]
Measure = Callable[[Rows], Figures]
Judged = tuple[Figures, Replicates]
"""Figures of all rows, and of each draw."""

RESAMPLES = 200
POSTS = 2_000
"""Fifteen systems on this many posts take about 6 s; more posts would change no interval that a reader could see."""


def main_figures(viral: Bools, y: Floats, probability: Floats, score: Floats) -> Figures:
    """ROC-AUC of the probability, Spearman's correlation and RMSE of the score. None: undefined.

    Args:
        viral: whether each post is, (rows,).
        y: the score that each reached, (rows,).
        probability: what was said, (rows,).
        score: what was said, (rows,).
    """
    import sklearn
    from scipy import stats
    from sklearn import metrics

    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        both, varied = bool(viral.any() and not viral.all()), bool(np.ptp(y) > 0 and np.ptp(score) > 0)
        return {
            "roc_auc": float(metrics.roc_auc_score(viral, probability)) if both else None,
            "spearman": float(stats.spearmanr(y, score).statistic) if varied else None,
            "rmse": float(metrics.root_mean_squared_error(y, score)),
        }


@dataclass(frozen=True)
class Draws:
    """The same draws of whole authors for all that is compared.

    Attributes:
        rows: of the authors that are drawn from.
        bootstrap: over those rows.
    """

    rows: Rows
    bootstrap: AuthorBootstrap

    @classmethod
    def of(cls, authors: npt.NDArray[np.int64], *, resamples: int = RESAMPLES, seed: int = 0) -> Draws:
        """Draws from authors (rows,), or from so many of them, taken at random, that they have `POSTS` posts."""
        rows = np.arange(len(authors))
        if len(authors) > POSTS:
            codes, inverse, sizes = np.unique(authors, return_inverse=True, return_counts=True)
            order = np.random.default_rng(seed).permutation(len(codes))
            taken = order[: int(np.searchsorted(np.cumsum(sizes[order]), POSTS)) + 1]
            rows = np.flatnonzero(np.isin(inverse, taken))
        return cls(rows, AuthorBootstrap(authors[rows], min(resamples, RESAMPLES), seed))

    def estimates(self, values: Figures, replicates: Replicates) -> dict[str, Estimate]:
        """Figures of all rows with their intervals."""
        return {name: self.bootstrap.estimate(value, replicates[name]) for name, value in values.items()}

    def judged(self, measure: Measure, count: int) -> Judged:
        """The figures of `count` rows, and of each draw."""
        return measure(np.arange(count)), self.bootstrap.replicates(lambda drawn: measure(self.rows[drawn]))

    def differences(self, one: Judged, other: Judged) -> dict[str, Estimate]:
        """How much higher each figure is for `one`, on the same draws."""
        gaps = {name: _gap(value, other[0][name]) for name, value in one[0].items()}
        return self.estimates(gaps, {name: drawn - other[1][name] for name, drawn in one[1].items()})


def _gap(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
