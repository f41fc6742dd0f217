"""How much the judgement hangs on where the bar for viral lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from viral.errors import TableError
from viral.evaluation.bootstrap.metrics import Figures, Floats
from viral.evaluation.evaluate import Forecast, Truth
from viral.evaluation.quick_bootstrap import RESAMPLES, Draws
from viral.evaluation.report.sections import Cut
from viral.labels.threshold import fit_threshold

SHARES = (0.10, 0.20, 0.25, 0.30, 0.50)


def cuts(
    truth: Truth,
    said: Forecast,
    train: Floats,
    *,
    shares: Sequence[float] = SHARES,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Cut, ...]:
    """ROC-AUC and PR-AUC of one ranking, by several bars for viral.

    The ranking is by the score, which knows no bar; by the probability where the score is the same for all posts. A
    share that no training post lies above, since many tie, is left out.

    Args:
        truth: the test posts.
        said: what the model says of them.
        train: the training posts' targets, (training rows,): the bar is fitted on them, as the label's own is.
        shares: of the training posts that are to count as viral.
        resamples: draws of whole authors; `brief.RESAMPLES` at most.
        seed: of the draws.
    """
    draws = Draws.of(truth.authors, resamples=resamples, seed=seed)
    ranked = Forecast(said.score, said.score) if np.ptp(said.score) > 0 else said
    found = []
    for share in shares:
        try:
            limit = fit_threshold(train, None, share)
        except TableError:
            continue
        barred = replace(truth, is_viral=limit.above(truth.y, None))
        [judged] = draws.judged(barred, [ranked], _areas)
        viral = float(barred.is_viral.mean())
        found.append(Cut(share=share, threshold=limit.overall, viral=viral, figures=draws.estimates(*judged)))
    return tuple(found)


def _areas(truth: Truth, said: Forecast) -> Figures:
    import sklearn
    from sklearn import metrics

    if not truth.is_viral.any() or truth.is_viral.all():
        return {"roc_auc": None, "pr_auc": None}
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        return {
            "roc_auc": float(metrics.roc_auc_score(truth.is_viral, said.probability)),
            "pr_auc": float(metrics.average_precision_score(truth.is_viral, said.probability)),
        }
