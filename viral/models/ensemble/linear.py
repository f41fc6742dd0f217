"""Logistic regression for being viral, ridge regression for the score."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np

from viral.datasets.streams import Batch
from viral.models.ensemble.member import Floats, Tensors, around, log_loss, spread_of, squared_loss
from viral.models.ensemble.rows import Layout, Matrix, Rows, Source
from viral.models.predictions import PredictionBatch

_STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True)
class Linear:
    """Both by their coefficients, (1, columns), and intercepts, (1,)."""

    limit: ClassVar[int] = 200_000
    grown: ClassVar[bool] = False

    viral: Floats
    viral_intercept: Floats
    score: Floats
    score_intercept: Floats
    spread: Floats

    @classmethod
    def fit(cls, layout: Layout, train: Source, held: Rows, seed: int) -> tuple[Self, dict[str, Any]]:
        """With the penalties, of six each, that are best on `held`."""
        rows = train.all()
        x, known = layout.filled(rows.batch), layout.filled(held.batch)
        logistics = {c: _logistic(x, rows.viral, c) for c in _STRENGTHS}
        ridges = {alpha: _ridge(x, rows.score, alpha) for alpha in _STRENGTHS}
        c = min(_STRENGTHS, key=lambda c: log_loss(logistics[c].predict_proba(known)[:, 1], held.viral))
        alpha = min(_STRENGTHS, key=lambda alpha: squared_loss(ridges[alpha].predict(known), held.score))
        made = cls(
            logistics[c].coef_.astype(np.float64),
            logistics[c].intercept_.astype(np.float64),
            ridges[alpha].coef_.astype(np.float64)[None],
            np.array([ridges[alpha].intercept_], np.float64),
            spread_of(ridges[alpha].predict(known), held.score),
        )
        return made, {"C": c, "alpha": alpha}

    @classmethod
    def made(cls, tensors: Tensors) -> Self:
        """From its arrays."""
        return cls(**tensors)

    def tensors(self) -> Tensors:
        """Its arrays."""
        return asdict(self)

    def __call__(self, layout: Layout, batch: Batch) -> PredictionBatch:
        """Predict."""
        from sklearn.linear_model import LogisticRegression, Ridge

        x = layout.filled(batch).astype(np.float64)
        logistic, ridge = LogisticRegression(), Ridge()
        logistic.classes_, logistic.coef_, logistic.intercept_ = np.array([0, 1]), self.viral, self.viral_intercept
        ridge.coef_, ridge.intercept_ = self.score[0], self.score_intercept[0]
        return PredictionBatch.from_quantiles(logistic.predict_proba(x)[:, 1], around(ridge.predict(x), self.spread))


def _logistic(x: Matrix, viral: Any, c: float) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a penalty this weak need not win
        return LogisticRegression(C=c, max_iter=300).fit(x, viral)


def _ridge(x: Matrix, score: Floats, alpha: float) -> Any:
    from sklearn.linear_model import Ridge

    return Ridge(alpha=alpha, solver="cholesky").fit(x.astype(np.float64), score)
