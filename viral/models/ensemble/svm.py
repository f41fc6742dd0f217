"""Support vector machines with a radial kernel, approximated by landmarks: time grows linearly with posts.

Source: Williams & Seeger 2001 (Nyström method); probabilities by Platt 1999.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch
from viral.models.ensemble.member import ArrayFields, interval_around, log_loss, residual_spread, squared_loss
from viral.models.ensemble.rows import LabelledBatch, Layout, Matrix, RowSource
from viral.models.predictions import Floats, PredictionBatch

LANDMARKS = 400  # the cost of a prediction grows with them, and of fitting their kernel with their cube
_GAMMA = 0.5  # of the kernel, divided by the number of streams: about the squared length of a row
_PENALTIES = (0.01, 0.1, 1.0, 10.0)  # C, in steps that change the fit visibly
_MAX_ITER = 10_000  # ten times the default of scikit-learn: the weakest penalties converge slowly


@dataclass(frozen=True)
class Svm(ArrayFields):
    """Landmarks (L, columns) and the weights of their kernels: `viral` (L,), `score` (L,).

    `platt` (2,) converts a margin to a probability.
    """

    max_rows: ClassVar[int] = 100_000  # their kernels with all landmarks are in memory
    distributed: ClassVar[bool] = False

    gamma: Floats
    landmarks: Matrix
    viral: Floats
    viral_intercept: Floats
    platt: Floats
    score: Floats
    score_intercept: Floats
    spread: Floats

    @classmethod
    def fit(cls, layout: Layout, train: RowSource, validation: LabelledBatch, seed: int) -> tuple[Self, dict[str, Any]]:
        """Fit with the best of four penalties for each machine."""
        from sklearn.kernel_approximation import Nystroem

        posts = train.read_all()
        x, x_validation = layout.standardised(posts.batch), layout.standardised(validation.batch)
        gamma = _GAMMA / len(layout.streams)
        kernel = Nystroem(gamma=gamma, n_components=min(LANDMARKS, len(x)), random_state=seed).fit(x)
        features, validation_features = kernel.transform(x), kernel.transform(x_validation)
        classifiers = {c: _classifier(features, posts.viral, c) for c in _PENALTIES}
        margins = {c: classifier.decision_function(validation_features) for c, classifier in classifiers.items()}
        platts = {c: _platt(margins[c], validation.viral) for c in _PENALTIES}
        c = min(_PENALTIES, key=lambda c: log_loss(_probability(margins[c], platts[c]), validation.viral))
        regressors = {c: _regressor(features, posts.score, c) for c in _PENALTIES}
        c_score = min(
            _PENALTIES, key=lambda c: squared_loss(regressors[c].predict(validation_features), validation.score)
        )
        classifier, regressor = classifiers[c], regressors[c_score]
        member = cls(
            gamma=np.array([gamma]),
            landmarks=kernel.components_,
            viral=_kernel_weights(classifier, kernel),
            viral_intercept=np.atleast_1d(classifier.intercept_),
            platt=platts[c],
            score=_kernel_weights(regressor, kernel),
            score_intercept=np.atleast_1d(regressor.intercept_),
            spread=residual_spread(regressor.predict(validation_features), validation.score),
        )
        return member, {"gamma": gamma, "C": c, "C_score": c_score, "landmarks": len(member.landmarks)}

    def __call__(self, layout: Layout, batch: Batch) -> PredictionBatch:
        """Predict."""
        from sklearn.metrics.pairwise import rbf_kernel

        kernels = rbf_kernel(layout.standardised(batch), self.landmarks, gamma=float(self.gamma[0])).astype(np.float64)
        # Not a matrix product: its rounding of a row depends on the row's position.
        margin, score = (np.einsum("nl,l->n", kernels, weights) for weights in (self.viral, self.score))
        probability = _probability(margin + self.viral_intercept, self.platt)
        return interval_around(probability, score + self.score_intercept, self.spread)


def _kernel_weights(machine: Any, kernel: Any) -> Floats:
    """Weight (L,) of each landmark's kernel in a linear machine: its features are linear in the kernels."""
    weights: Floats = machine.coef_.astype(np.float64).ravel() @ kernel.normalization_.astype(np.float64)
    return weights


def _classifier(features: Matrix, viral: npt.NDArray[np.bool_], c: float) -> Any:
    from sklearn.svm import LinearSVC

    return LinearSVC(C=c, dual=False, max_iter=_MAX_ITER).fit(features, viral)


def _regressor(features: Matrix, score: Floats, c: float) -> Any:
    from sklearn.svm import LinearSVR

    return LinearSVR(C=c, loss="squared_epsilon_insensitive", dual=False, max_iter=_MAX_ITER).fit(features, score)


def _platt(margin: Floats, viral: npt.NDArray[np.bool_]) -> Floats:
    """Slope and intercept of the log odds over the margin; the identity if all posts are of one class."""
    from sklearn.linear_model import LogisticRegression

    if viral.all() or not viral.any():
        return np.array([1.0, 0.0])
    fitted = LogisticRegression().fit(margin[:, None], viral)
    return np.array([max(0.0, fitted.coef_[0, 0]), fitted.intercept_[0]])


def _probability(margin: Floats, platt: Floats) -> Floats:
    from scipy.special import expit

    probability: Floats = expit(platt[0] * margin + platt[1])
    return probability
