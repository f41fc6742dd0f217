"""The methods of earlier systems, as quick fits on few posts.

Each keeps the inputs of its system and how it combines them; networks that need a training run are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from viral.evaluation.baselines.baseline import Floats, Inputs, Ints, Rows, Unavailable, row_indices, sample
from viral.evaluation.baselines.shallow import boosting, fit_linear
from viral.evaluation.baselines.text import text_linear
from viral.models.predictions import PredictionBatch

_MAX_POSTS = 5_000  # to fit on: keeps the fit to seconds
_TREES, _LEAF, _NEIGHBOURS = 50, 5, 25  # untuned
# Set by hand, as in system A, whose image model had learned nothing and got a small weight.
_WEIGHTS = {"text": 0.45, "acoustics": 0.45, "resnet50": 0.1}

# Extractors whose vectors these baselines use.
EXTRACTORS = ("acoustics", "resnet50", "r2plus1d", "vgg16")


def system_a(inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch | Unavailable:
    """Fusion of an earlier system (A): linear models of caption, sound and frames, averaged with hand-set weights."""
    batches: dict[str, PredictionBatch] = {}
    for name in _WEIGHTS:
        batch = text_linear(inputs, train, test) if name == "text" else _linear_head(name, inputs, train, test)
        if isinstance(batch, PredictionBatch):
            batches[name] = batch
    # With one part alone it would be no fusion, and the same as another baseline.
    if len(batches) < 2:
        return Unavailable("it fuses caption, sound and frames, and at least two of them are unavailable")
    return _average(list(batches.values()), [_WEIGHTS[name] for name in batches])


def system_b(inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch | Unavailable:
    """Average of an earlier system (B): logistic regression, random forest, k-NN and boosting on metadata."""
    if inputs.metadata is None:
        return Unavailable("the corpus has no metadata")
    matrix = np.asarray(inputs.metadata, np.float64)
    rows, test_rows = sample(row_indices(train), _MAX_POSTS), row_indices(test)
    if np.isnan(matrix[rows]).all():
        return Unavailable("no training post has metadata")
    x, x_test = _standardise(matrix, rows, test_rows)
    fits = [fit(x, x_test, inputs, rows) for fit in (fit_linear, _forest, _nearest)]
    return _average([*fits, boosting(matrix, inputs, rows, test_rows)])


def system_c(inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch | Unavailable:
    """Head of an earlier system (C): a linear model of the clip features of a frozen R(2+1)D-18."""
    return _linear_head("r2plus1d", inputs, train, test)


def system_d(inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch | Unavailable:
    """Head of an earlier system (D): a linear model of the frame features of a frozen VGG-16."""
    return _linear_head("vgg16", inputs, train, test)


def _linear_head(name: str, inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch | Unavailable:
    """A linear model of one extractor's vectors; posts without a vector get the training average."""
    if inputs.vectors is None or name not in inputs.vectors:
        return Unavailable(f"it needs {name}, which the feature set does not have")
    matrix = inputs.vectors[name]
    present = ~np.isnan(matrix[:, 0])
    # Fitted on posts that have the vector; the others get the average below, so that all systems predict all posts.
    rows, test_rows = sample(row_indices(train)[present[train]], _MAX_POSTS), row_indices(test)
    has_vector = present[test_rows]
    if not len(rows) or not has_vector.any():
        return Unavailable(f"no {'test' if len(rows) else 'training'} post has {name}")
    x, x_test = _standardise(matrix, rows, test_rows[has_vector])
    # A longer vector overfits more and gets a stronger penalty.
    batch = fit_linear(x, x_test, inputs, rows, penalty=float(matrix.shape[1]))
    probability = np.full(len(test_rows), inputs.is_viral[rows].mean())
    score = np.full(len(test_rows), inputs.y[rows].mean())
    probability[has_vector], score[has_vector] = batch.probability, batch.score
    return PredictionBatch(probability, score)


def _average(batches: Sequence[PredictionBatch], weights: Sequence[float] | None = None) -> PredictionBatch:
    probability, score = (
        np.average([getattr(batch, name) for batch in batches], axis=0, weights=weights)
        for name in ("probability", "score")
    )
    return PredictionBatch(probability, score)


def _standardise(matrix: Any, rows: Ints, test_rows: Ints) -> tuple[Floats, Floats]:
    """Standardise training and test rows by the training rows; missing values become 0."""
    train = matrix[rows]
    with np.errstate(invalid="ignore"):
        present = ~np.isnan(train).all(axis=0)
        mean, scale = np.zeros(train.shape[1]), np.ones(train.shape[1])
        mean[present], scale[present] = np.nanmean(train[:, present], axis=0), np.nanstd(train[:, present], axis=0)
    # The scale of a constant column is a rounding error: dividing by it would turn noise into large values.
    scale = np.where(scale > 1e-6 * (1 + np.abs(mean)), scale, 1.0).astype(matrix.dtype)
    mean = mean.astype(matrix.dtype)  # keeps the result in the dtype of the matrix
    x, x_test = (np.nan_to_num((matrix[index] - mean) / scale) for index in (rows, test_rows))
    return x, np.clip(x_test, -8, 8)  # one test value far outside the training range must not dominate a prediction


def _forest(x: Floats, x_test: Floats, inputs: Inputs, rows: Ints) -> PredictionBatch:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    settings: dict[str, Any] = {"n_estimators": _TREES, "min_samples_leaf": _LEAF, "max_features": "sqrt"}
    settings["random_state"] = 0
    return _fit_both(RandomForestClassifier(**settings), RandomForestRegressor(**settings), x, x_test, inputs, rows)


def _nearest(x: Floats, x_test: Floats, inputs: Inputs, rows: Ints) -> PredictionBatch:
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    count = min(_NEIGHBOURS, len(rows))
    return _fit_both(KNeighborsClassifier(count), KNeighborsRegressor(count), x, x_test, inputs, rows)


def _fit_both(
    classifier: Any, regressor: Any, x: Floats, x_test: Floats, inputs: Inputs, rows: Ints
) -> PredictionBatch:
    viral = inputs.is_viral[rows]
    by_class = classifier.fit(x, viral).predict_proba(x_test)
    probability = by_class[:, 1] if by_class.shape[1] == 2 else np.full(len(x_test), viral.mean())
    return PredictionBatch(probability, regressor.fit(x, inputs.y[rows]).predict(x_test))
