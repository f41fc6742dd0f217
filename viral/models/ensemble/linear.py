"""Linear member of an ensemble: logistic regression for P(viral), ridge regression for the score."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from viral.datasets.streams import Batch
from viral.models.ensemble.member import ArrayFields, interval_around, log_loss, residual_spread, squared_loss
from viral.models.ensemble.rows import LabelledBatch, Layout, Matrix, RowSource
from viral.models.predictions import Floats, PredictionBatch

_STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)  # candidates for C and alpha: smaller steps hardly change the fit
_MAX_ITER = 300  # enough to converge for all but the weakest penalties


@dataclass(frozen=True)
class LinearMember(ArrayFields):
    """Coefficients (1, columns) and intercepts (1,) of both models."""

    max_rows: ClassVar[int] = 200_000  # all in memory
    distributed: ClassVar[bool] = False

    viral: Floats
    viral_intercept: Floats
    score: Floats
    score_intercept: Floats
    spread: Floats

    @classmethod
    def fit(cls, layout: Layout, train: RowSource, validation: LabelledBatch, seed: int) -> tuple[Self, dict[str, Any]]:
        """Fit both models, each with the best of six penalties."""
        posts = train.read_all()
        x, x_validation = layout.standardised(posts.batch), layout.standardised(validation.batch)
        logistics = {c: _logistic(x, posts.viral, c) for c in _STRENGTHS}
        ridges = {alpha: _ridge(x, posts.score, alpha) for alpha in _STRENGTHS}
        # Each target has a penalty of its own: virality and score differ in noise.
        c = min(_STRENGTHS, key=lambda c: log_loss(logistics[c].predict_proba(x_validation)[:, 1], validation.viral))
        alpha = min(_STRENGTHS, key=lambda alpha: squared_loss(ridges[alpha].predict(x_validation), validation.score))
        member = cls(
            logistics[c].coef_.astype(np.float64),
            logistics[c].intercept_.astype(np.float64),
            ridges[alpha].coef_.astype(np.float64)[None],
            np.array([ridges[alpha].intercept_], np.float64),
            residual_spread(ridges[alpha].predict(x_validation), validation.score),
        )
        return member, {"C": c, "alpha": alpha}

    def __call__(self, layout: Layout, batch: Batch) -> PredictionBatch:
        """Predict."""
        from sklearn.linear_model import LogisticRegression, Ridge

        x = layout.standardised(batch).astype(np.float64)
        logistic, ridge = LogisticRegression(), Ridge()
        # Fitted values put back into scikit-learn's classes: a restored member predicts by the same code as a fitted
        # one.
        logistic.classes_, logistic.coef_, logistic.intercept_ = np.array([0, 1]), self.viral, self.viral_intercept
        ridge.coef_, ridge.intercept_ = self.score[0], self.score_intercept[0]
        return interval_around(logistic.predict_proba(x)[:, 1], ridge.predict(x), self.spread)


def _logistic(x: Matrix, viral: Any, c: float) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # The weakest penalties may not converge; the validation posts judge them all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=c, max_iter=_MAX_ITER).fit(x, viral)


def _ridge(x: Matrix, score: Floats, alpha: float) -> Any:
    from sklearn.linear_model import Ridge

    # In double precision: the normal equations square the condition of the columns.
    return Ridge(alpha=alpha, solver="cholesky").fit(x.astype(np.float64), score)
