"""The smaller comparisons of a scorecard: three figures, with intervals from some of the authors and fewer draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap.by_author import AuthorBootstrap, Estimate, Replicates, Rows
from viral.evaluation.bootstrap.metrics import Figures
from viral.evaluation.bootstrap.replicates import replicates
from viral.evaluation.bootstrap.settings import Settings
from viral.evaluation.bootstrap.system import Judged, Outcome
from viral.evaluation.evaluate import Forecast, Truth

Measure = Callable[[Truth, Forecast], Figures]
Drawn = tuple[Figures, Replicates]
"""Figures of all rows and of each draw."""

RESAMPLES = 200
POSTS = 10_000
"""Fifteen systems on this many posts take about 1.5 s."""


def main_figures(truth: Truth, said: Forecast) -> Figures:
    """ROC-AUC of the probability, Spearman's correlation and RMSE of the score. None: undefined."""
    import sklearn
    from scipy import stats
    from sklearn import metrics

    both = bool(truth.is_viral.any() and not truth.is_viral.all())
    varied = bool(np.ptp(truth.y) > 0 and np.ptp(said.score) > 0)
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        return {
            "roc_auc": float(metrics.roc_auc_score(truth.is_viral, said.probability)) if both else None,
            "spearman": float(stats.spearmanr(truth.y, said.score).statistic) if varied else None,
            "rmse": float(metrics.root_mean_squared_error(truth.y, said.score)),
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

    def judged(self, truth: Truth, said: Sequence[Forecast], measure: Measure = main_figures) -> list[Drawn]:
        """The figures of each forecast of all rows and, under the same names, in each draw."""
        rows = self.rows
        judged = {f"{at}": Judged(each.probability[rows], each.score[rows]) for at, each in enumerate(said)}
        drawn = replicates(
            self.bootstrap, Outcome(truth.y[rows], truth.is_viral[rows]), judged, self._settings, np.arange(0)
        )
        return [(measure(truth, each), drawn[name]) for name, each in zip(judged, said, strict=True)]

    def estimates(self, values: Figures, drawn: Replicates) -> dict[str, Estimate]:
        """Figures of all rows with their intervals."""
        return {name: self.bootstrap.estimate(value, drawn[name]) for name, value in values.items()}

    def differences(self, one: Drawn, other: Drawn) -> dict[str, Estimate]:
        """How much higher each figure is for `one`, on the same draws."""
        gaps = {name: _gap(value, other[0][name]) for name, value in one[0].items()}
        return self.estimates(gaps, {name: one[1][name] - other[1][name] for name in gaps})

    @property
    def _settings(self) -> Settings:
        drawn = self.bootstrap
        return Settings(
            threshold=0.5,
            level=drawn.level,
            k=1,
            resamples=drawn.resamples,
            seed=drawn.seed,
            compared_posts=0,
            compared_authors=0,
        )


def _gap(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
