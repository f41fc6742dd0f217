"""All metrics of one system in resamples of authors, with columns sorted and summed only once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap import sums as from_sums
from viral.evaluation.bootstrap.curves import RankedProbability
from viral.evaluation.bootstrap.order import Floats, Rows
from viral.evaluation.bootstrap.ranks import RankedLabels, RankedScore, WeightedLabels
from viral.evaluation.bootstrap.settings import EvaluationSettings
from viral.evaluation.bootstrap.sums import AuthorSums, Columns
from viral.evaluation.labels import Labels
from viral.models.predictions import PredictionBatch

Bools = npt.NDArray[np.bool_]
AuthorTops = tuple[Bools, Bools]
"""The top 20 % of each author, by label and by predicted score; each (rows,)."""


@dataclass(frozen=True)
class WeightedSystem:
    """One system, prepared for any resample. `mean_names` are the metrics that are means of a column."""

    score: RankedScore
    probability: RankedProbability
    sums: AuthorSums
    mean_names: tuple[str, ...]
    within_author: bool
    log_scale: bool

    @classmethod
    def from_predictions(
        cls,
        labels: Labels,
        predictions: PredictionBatch,
        ranked_labels: RankedLabels,
        author_index: Rows,
        tie_breaker: Rows,
        settings: EvaluationSettings,
        author_tops: AuthorTops | None = None,
    ) -> WeightedSystem:
        """Sort and sum once; `author_index`, `tie_breaker`: (rows,). Metrics within authors need `author_tops`."""
        columns = from_sums.classification_columns(labels.is_viral, predictions.probability, settings.threshold)
        columns |= from_sums.regression_columns(labels.y, predictions.score)
        means = _mean_columns(labels.y, predictions, settings)
        if author_tops is not None:
            actual, called = author_tops
            columns |= {"within": (actual & called).astype(np.float64), "called_within": called.astype(np.float64)}
        return cls(
            RankedScore.from_scores(predictions.score, author_index, tie_breaker, ranked_labels),
            RankedProbability.from_probabilities(predictions.probability, labels.is_viral, author_index, tie_breaker),
            AuthorSums.from_columns(columns | means, author_index),
            tuple(means),
            author_tops is not None,
            settings.log_scale,
        )

    def rank_metrics(self, counts: Floats, labels: WeightedLabels) -> dict[str, float]:
        """Return the rank metrics in one resample that draws each author `counts` (authors,) times."""
        return self.score.metrics(counts, labels) | self.probability.metrics(counts)

    def sum_metrics(self, counts: Floats, y_varies: Bools, both_vary: Bools) -> Columns:
        """Return the other metrics in many resamples, (resamples,), NaN where undefined.

        Args:
            counts: how often each resample draws each author, (resamples, authors).
            y_varies: whether the actual scores of a resample differ, (resamples,).
            both_vary: whether both its actual and its predicted scores differ, (resamples,).
        """
        # An undefined metric divides by zero, and is NaN.
        with np.errstate(divide="ignore", invalid="ignore"):
            sums = self.sums.resample(counts)
            metrics = from_sums.classification(sums) | from_sums.regression(sums, log_scale=self.log_scale)
            metrics |= {name: sums[name] / sums["rows"] for name in self.mean_names}
            within = sums["within"] / sums["called_within"] if self.within_author else np.full(len(counts), np.nan)
        # With constant labels or scores these metrics are rounding errors.
        masks = {"nmse": y_varies, "r2": y_varies, "pearson": both_vary}
        metrics |= {name: np.where(defined, metrics[name], np.nan) for name, defined in masks.items()}
        return metrics | {"top20_precision_within_author": within}


def block_metrics(
    systems: dict[str, WeightedSystem], labels: RankedLabels, block: Sequence[Floats]
) -> dict[str, Columns]:
    """Return all metrics of all systems, (resamples,); `block` has the author counts (authors,) of each resample."""
    varies: list[bool] = []
    by_rank: dict[str, list[dict[str, float]]] = {name: [] for name in systems}
    for counts in block:
        weighted = labels.resample(counts)
        varies.append(weighted.varies)
        for name, system in systems.items():
            by_rank[name].append(system.rank_metrics(counts, weighted))
    counts, y_varies = np.stack(block), np.array(varies)
    metrics = {}
    for name, system in systems.items():
        ranked = {metric: np.array([values[metric] for values in by_rank[name]]) for metric in by_rank[name][0]}
        metrics[name] = ranked | system.sum_metrics(counts, y_varies, np.isfinite(ranked["spearman"]))
    return metrics


def _mean_columns(y: Floats, predictions: PredictionBatch, settings: EvaluationSettings) -> Columns:
    means = {}
    if settings.quartile is not None:
        correct = (y > settings.quartile) == (predictions.score > settings.quartile)
        means["accuracy_at_75"] = correct.astype(np.float64)
    if predictions.low is not None and predictions.high is not None:
        means |= from_sums.interval_columns(y, predictions.low, predictions.high, settings.level)
    return means
