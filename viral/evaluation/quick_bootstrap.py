"""Bootstrap of a few metrics with a sample of the authors and few draws, for the smaller tables of a scorecard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap.by_author import AuthorBootstrap, Estimate, Replicates, Rows, subtract
from viral.evaluation.bootstrap.metrics import Metrics
from viral.evaluation.bootstrap.replicates import replicates
from viral.evaluation.bootstrap.settings import EvaluationSettings
from viral.evaluation.labels import Labels
from viral.models.predictions import PredictionBatch

Measure = Callable[[Labels, PredictionBatch], Metrics]
Result = tuple[Metrics, Replicates]
"""Metrics of all rows, and of each draw."""

# With these limits, fifteen systems take about 1.5 s.
RESAMPLES = 200
POSTS = 10_000


def main_metrics(labels: Labels, predictions: PredictionBatch) -> Metrics:
    """Return ROC-AUC of the probability, Spearman correlation and RMSE of the score; None where undefined."""
    import sklearn
    from scipy import stats
    from sklearn import metrics

    both_classes = bool(labels.is_viral.any() and not labels.is_viral.all())
    varied = bool(np.ptp(labels.y) > 0 and np.ptp(predictions.score) > 0)
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        return {
            "roc_auc": float(metrics.roc_auc_score(labels.is_viral, predictions.probability)) if both_classes else None,
            "spearman": float(stats.spearmanr(labels.y, predictions.score).statistic) if varied else None,
            "rmse": float(metrics.root_mean_squared_error(labels.y, predictions.score)),
        }


@dataclass(frozen=True)
class AuthorDraws:
    """Draws of whole authors, shared by all systems of a comparison.

    Attributes:
        rows: indices of the rows of the authors to draw from.
        bootstrap: bootstrap over these rows.
    """

    rows: Rows
    bootstrap: AuthorBootstrap

    @classmethod
    def from_authors(cls, authors: npt.NDArray[np.int64], *, resamples: int = RESAMPLES, seed: int = 0) -> AuthorDraws:
        """Draw from all authors (rows,), or from a random sample of authors with about `POSTS` posts."""
        rows = np.arange(len(authors))
        if len(authors) > POSTS:
            codes, inverse, sizes = np.unique(authors, return_inverse=True, return_counts=True)
            # Whole authors, because the draws are of whole authors.
            order = np.random.default_rng(seed).permutation(len(codes))
            sample = order[: int(np.searchsorted(np.cumsum(sizes[order]), POSTS)) + 1]
            rows = np.flatnonzero(np.isin(inverse, sample))
        return cls(rows, AuthorBootstrap(authors[rows], min(resamples, RESAMPLES), seed))

    def evaluate(
        self, labels: Labels, systems: Sequence[PredictionBatch], measure: Measure = main_metrics
    ) -> list[Result]:
        """Compute `measure` of each system on all rows, and the same metrics in each draw."""
        bootstrap = self.bootstrap
        settings = EvaluationSettings(
            threshold=0.5, level=bootstrap.level, k=1, resamples=bootstrap.resamples, seed=bootstrap.seed
        )
        samples = {
            str(i): PredictionBatch(batch.probability[self.rows], batch.score[self.rows])
            for i, batch in enumerate(systems)
        }
        # Without rows for Kendall and pairwise accuracy, whose time grows with the square of the posts.
        resampled = replicates(bootstrap, labels.take(self.rows), samples, settings, np.arange(0))
        return [(measure(labels, batch), resampled[name]) for name, batch in zip(samples, systems, strict=True)]

    def estimates(self, values: Metrics, resampled: Replicates) -> dict[str, Estimate]:
        """Return metrics of all rows with their intervals."""
        return {name: self.bootstrap.estimate(value, resampled[name]) for name, value in values.items()}

    def differences(self, first: Result, second: Result) -> dict[str, Estimate]:
        """Return each metric of `first` minus the metric of `second`, on the same draws."""
        values = {name: subtract(value, second[0][name]) for name, value in first[0].items()}
        return self.estimates(values, {name: first[1][name] - second[1][name] for name in values})
