"""Quick models that several baselines share, with settings that nobody has tuned."""

from __future__ import annotations

from typing import Any

import numpy as np

from viral.evaluation.baselines.baseline import Floats, Inputs, Ints, Predicted, Rows

_TREES = 100


def linear(x: Any, asked: Any, inputs: Inputs, rows: Ints, *, strength: float = 1.0) -> Predicted:
    """Logistic regression for the probability, ridge regression for the score.

    Args:
        x: what the posts of `rows` look like, (rows, columns), dense or sparse.
        asked: the posts to predict, (asked, columns).
        inputs: what became of all posts.
        rows: positions of those to learn from.
        strength: of the penalty on large coefficients.
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    viral = inputs.is_viral[rows]
    score = Ridge(alpha=strength).fit(x, inputs.y[rows]).predict(asked)
    if viral.all() or not viral.any():
        return Predicted(np.full(len(score), viral.mean()), score.astype(np.float64))
    model = LogisticRegression(C=1 / strength, max_iter=500).fit(x, viral)
    return Predicted(model.predict_proba(asked)[:, 1].astype(np.float64), score.astype(np.float64))


def grow(objective: str, matrix: Floats, target: Floats, train: Rows) -> Any:
    """LightGBM on the training rows of the matrix; NaN is a value like any other."""
    import lightgbm

    rows = len(target[train])
    settings = {
        "objective": objective,
        "learning_rate": 0.05,
        "num_leaves": 15,
        # 20, LightGBM's own, allows no split at all on a few dozen posts.
        "min_data_in_leaf": int(np.clip(rows // 20, 3, 20)),
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": 0,
        "verbosity": -1,
    }
    return lightgbm.train(settings, lightgbm.Dataset(matrix[train], target[train]), num_boost_round=_TREES)
