"""The methods of earlier systems that this product unites, as far as a quick fit on few posts goes.

They keep the idea (what is looked at, and how it becomes one prediction) and leave out what takes a training run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from viral.evaluation.baselines.baseline import Floats, Inputs, Ints, Predicted, Rows, Unavailable, positions, some
from viral.evaluation.baselines.shallow import grow, linear
from viral.evaluation.baselines.text import text_linear

_LIMIT = 5_000  # posts to learn from: it stays a matter of seconds
_TREES, _LEAF, _NEIGHBOURS = 50, 5, 25
_WEIGHTS = {"text": 0.45, "acoustics": 0.45, "resnet50": 0.1}
"""Set by hand, as that system's were: its picture model had learnt nothing, and was given little."""

SEEN = ("acoustics", "resnet50", "r2plus1d", "vgg16")
"""The extractors whose vectors these baselines look at."""


def system_a(inputs: Inputs, train: Rows, test: Rows) -> Predicted | Unavailable:
    """An earlier system's fusion (A): linear models of caption, sound and picture, averaged by weights set by hand."""
    said: dict[str, Predicted] = {}
    for name in _WEIGHTS:
        answer = text_linear(inputs, train, test) if name == "text" else _of_vectors(name, inputs, train, test)
        if isinstance(answer, Predicted):
            said[name] = answer
    if len(said) < 2:
        return Unavailable("it fuses caption, sound and picture, and the feature set has not two of them")
    weights = np.array([_WEIGHTS[name] for name in said])
    return Predicted(
        np.average([each.probability for each in said.values()], axis=0, weights=weights),
        np.average([each.score for each in said.values()], axis=0, weights=weights),
    )


def system_b(inputs: Inputs, train: Rows, test: Rows) -> Predicted | Unavailable:
    """An earlier system's vote (B): logistic regression, random forest, k-NN and boosting on metadata, averaged."""
    if inputs.metadata is None:
        return Unavailable("the corpus has no metadata")
    matrix = np.asarray(inputs.metadata, np.float64)
    learnt, asked = some(positions(train), _LIMIT), positions(test)
    if np.isnan(matrix[learnt]).all():
        return Unavailable("no training post has metadata")
    x, z = _standard(matrix, learnt, asked)
    votes = [
        linear(x, z, inputs, learnt),
        _forest(x, z, inputs, learnt),
        _nearest(x, z, inputs, learnt),
        _boosting(matrix, inputs, learnt, asked),
    ]
    probability = np.mean([each.probability for each in votes], axis=0)
    return Predicted(probability, np.mean([each.score for each in votes], axis=0))


def system_c(inputs: Inputs, train: Rows, test: Rows) -> Predicted | Unavailable:
    """An earlier system's head (C): a linear layer on the clip features of R(2+1)D-18, which stays as it is."""
    return _of_vectors("r2plus1d", inputs, train, test)


def system_d(inputs: Inputs, train: Rows, test: Rows) -> Predicted | Unavailable:
    """An earlier system's head (D): a linear layer on the frame features of VGG-16, which stays as it is."""
    return _of_vectors("vgg16", inputs, train, test)


def _of_vectors(name: str, inputs: Inputs, train: Rows, test: Rows) -> Predicted | Unavailable:
    """A linear model of one extractor's vectors; of a post without any, what the average training post is."""
    if inputs.vectors is None or name not in inputs.vectors:
        return Unavailable(f"it looks at {name}, which the feature set does not have")
    matrix = inputs.vectors[name]
    there = ~np.isnan(matrix[:, 0])
    learnt, asked = some(positions(train)[there[train]], _LIMIT), positions(test)
    known = there[asked]
    if not len(learnt) or not known.any():
        return Unavailable(f"no {'test' if len(learnt) else 'training'} post has {name}")
    x, z = _standard(matrix, learnt, asked[known])
    told = linear(x, z, inputs, learnt, strength=float(matrix.shape[1]))
    probability = np.full(len(asked), inputs.is_viral[learnt].mean())
    score = np.full(len(asked), inputs.y[learnt].mean())
    probability[known], score[known] = told.probability, told.score
    return Predicted(probability, score)


def _standard(matrix: Any, learnt: Ints, asked: Ints) -> tuple[Floats, Floats]:
    """The rows to learn from and those asked for, in standard deviations of the former; 0 where nothing is known."""
    rows = matrix[learnt]
    with np.errstate(invalid="ignore"):
        there = ~np.isnan(rows).all(axis=0)
        mean, scale = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
        mean[there], scale[there] = np.nanmean(rows[:, there], axis=0), np.nanstd(rows[:, there], axis=0)
    scale = np.where(scale > 1e-6 * (1 + np.abs(mean)), scale, 1.0).astype(matrix.dtype)
    mean = mean.astype(matrix.dtype)  # the rows stay as narrow as they came
    first, second = (np.nan_to_num((matrix[each] - mean) / scale) for each in (learnt, asked))
    return first, np.clip(second, -8, 8)


def _forest(x: Floats, z: Floats, inputs: Inputs, learnt: Ints) -> Predicted:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    settings: dict[str, Any] = {"n_estimators": _TREES, "min_samples_leaf": _LEAF, "random_state": 0}
    settings |= {"max_features": "sqrt"}
    return _both(RandomForestClassifier(**settings), RandomForestRegressor(**settings), x, z, inputs, learnt)


def _nearest(x: Floats, z: Floats, inputs: Inputs, learnt: Ints) -> Predicted:
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    count = min(_NEIGHBOURS, len(learnt))
    return _both(KNeighborsClassifier(count), KNeighborsRegressor(count), x, z, inputs, learnt)


def _both(classifier: Any, regressor: Any, x: Floats, z: Floats, inputs: Inputs, learnt: Ints) -> Predicted:
    viral = inputs.is_viral[learnt]
    classifier.fit(x, viral)
    said = classifier.predict_proba(z)
    probability = said[:, 1] if said.shape[1] == 2 else np.full(len(z), viral.mean())
    return Predicted(probability, regressor.fit(x, inputs.y[learnt]).predict(z))


def _boosting(matrix: Floats, inputs: Inputs, learnt: Ints, asked: Ints) -> Predicted:
    probability = grow("binary", matrix, inputs.is_viral.astype(np.float64), learnt).predict(matrix[asked])
    score = grow("regression", matrix, inputs.y, learnt).predict(matrix[asked])
    return Predicted(np.clip(probability, 0, 1), score)
