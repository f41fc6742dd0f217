"""Metrics of one ranking under several thresholds for viral."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from viral.errors import TableError
from viral.evaluation.bootstrap.metrics import Floats, Metrics
from viral.evaluation.labels import Labels
from viral.evaluation.quick_bootstrap import RESAMPLES, AuthorDraws
from viral.evaluation.report.sections import ThresholdResult
from viral.labels.threshold import fit_threshold
from viral.models.predictions import PredictionBatch

FRACTIONS = (0.10, 0.20, 0.25, 0.30, 0.50)  # from a strict definition of viral to the median split


def evaluate_thresholds(
    labels: Labels,
    predictions: PredictionBatch,
    train: Floats,
    *,
    fractions: Sequence[float] = FRACTIONS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[ThresholdResult, ...]:
    """Return ROC-AUC and PR-AUC of one ranking under several thresholds for viral.

    Posts are ranked by score, which does not depend on the threshold, or by probability if all scores are equal. A
    fraction is left out if ties leave no training post above its threshold.

    Args:
        labels: the test posts.
        predictions: the model's predictions.
        train: scores of the training posts, (training rows,), to fit the thresholds on, as for the label itself.
        fractions: shares of the training posts to count as viral.
        resamples: draws of whole authors, at most `quick_bootstrap.RESAMPLES`.
        seed: seed of the draws.
    """
    draws = AuthorDraws.from_authors(labels.authors, resamples=resamples, seed=seed)
    constant = np.ptp(predictions.score) == 0
    # A probability belongs to the threshold that it was trained for: the score takes its place.
    ranked = predictions if constant else PredictionBatch(predictions.score, predictions.score)
    results = []
    for fraction in fractions:
        try:
            limit = fit_threshold(train, None, fraction)
        # Too many equal targets: no post would lie above that threshold.
        except TableError:
            continue
        relabelled = replace(labels, is_viral=limit.above(labels.y, None))
        [result] = draws.evaluate(relabelled, [ranked], _areas)
        viral, metrics = float(relabelled.is_viral.mean()), draws.estimates(*result)
        results.append(ThresholdResult(share=fraction, threshold=limit.overall, viral=viral, metrics=metrics))
    return tuple(results)


def _areas(labels: Labels, predictions: PredictionBatch) -> Metrics:
    import sklearn
    from sklearn import metrics

    if not labels.is_viral.any() or labels.is_viral.all():
        return {"roc_auc": None, "pr_auc": None}
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        return {
            "roc_auc": float(metrics.roc_auc_score(labels.is_viral, predictions.probability)),
            "pr_auc": float(metrics.average_precision_score(labels.is_viral, predictions.probability)),
        }
