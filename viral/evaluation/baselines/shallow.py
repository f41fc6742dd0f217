"""Models shared by several baselines: quick to fit, with untuned settings."""

from __future__ import annotations

from typing import Any

import numpy as np

from viral.evaluation.baselines.baseline import Floats, Inputs, Ints, Rows
from viral.models.predictions import PredictionBatch

_TREES = 100  # LightGBM's default


def fit_linear(x: Any, x_test: Any, inputs: Inputs, rows: Ints, *, penalty: float = 1.0) -> PredictionBatch:
    """Fit logistic regression for the probability and ridge regression for the score, and predict the test posts.

    Args:
        x: features of the training posts, (rows, columns), dense or sparse.
        x_test: features of the posts to predict, (test rows, columns).
        inputs: labels of all posts.
        rows: indices of the training posts.
        penalty: strength of the L2 penalty.
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    viral = inputs.is_viral[rows]
    score = Ridge(alpha=penalty).fit(x, inputs.y[rows]).predict(x_test)
    # Logistic regression needs two classes.
    if viral.all() or not viral.any():
        return PredictionBatch(np.full(len(score), viral.mean()), score.astype(np.float64))
    model = LogisticRegression(C=1 / penalty, max_iter=500).fit(x, viral)
    return PredictionBatch(model.predict_proba(x_test)[:, 1].astype(np.float64), score.astype(np.float64))


def boosting(matrix: Floats, inputs: Inputs, rows: Rows, test: Rows) -> PredictionBatch:
    """Fit gradient-boosted trees on some rows of a matrix (all posts, columns) and predict its test rows."""
    probability = _boost("binary", matrix, inputs.is_viral.astype(np.float64), rows).predict(matrix[test])
    score = _boost("regression", matrix, inputs.y, rows).predict(matrix[test])
    return PredictionBatch(np.clip(probability, 0, 1), score)


def _boost(objective: str, matrix: Floats, target: Floats, train: Rows) -> Any:
    import lightgbm

    rows = len(target[train])
    settings = {
        "objective": objective,
        # A lower rate and smaller trees than the defaults (0.1 and 31), since there may be few posts.
        "learning_rate": 0.05,
        "num_leaves": 15,
        # LightGBM's default of 20 allows no split on a few dozen posts.
        "min_data_in_leaf": int(np.clip(rows // 20, 3, 20)),
        # One thread and a fixed layout give the same trees on every machine.
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": 0,
        "verbosity": -1,
    }
    return lightgbm.train(settings, lightgbm.Dataset(matrix[train], target[train]), num_boost_round=_TREES)
