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

LANDMARKS = 400  # the cost of a prediction grows linearly with them, that of fitting cubically
_GAMMA = 0.5  # gamma of the kernel, times the number of streams: about the squared length of a row
_PENALTIES = (0.01, 0.1, 1.0, 10.0)  # candidates for C: smaller steps hardly change the fit
_MAX_ITER = 10_000  # ten times the default of scikit-learn: the weakest penalties converge slowly


@dataclass(frozen=True)
class Svm(ArrayFields):
    """Landmarks (L, columns), their weights `viral` (L,) and `score` (L,), and `platt` (2,): margin to probability."""

    max_rows: ClassVar[int] = 100_000  # the kernel values for all landmarks are in memory
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
        """Fit classifier and regressor, each with the best of four penalties."""
        from sklearn.kernel_approximation import Nystroem

        posts = train.read_all()
        x, x_validation = layout.standardised(posts.batch), layout.standardised(validation.batch)
        gamma = _GAMMA / len(layout.streams)
        # At most as many landmarks as posts.
        kernel = Nystroem(gamma=gamma, n_components=min(LANDMARKS, len(x)), random_state=seed).fit(x)
        features, validation_features = kernel.transform(x), kernel.transform(x_validation)
        classifiers = {c: _classifier(features, posts.viral, c) for c in _PENALTIES}
        margins = {c: classifier.decision_function(validation_features) for c, classifier in classifiers.items()}
        # On validation posts: margins of training posts are too sure of themselves.
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
        # In a matrix product the rounding of a row would depend on its position.
        margin, score = (np.einsum("nl,l->n", kernels, weights) for weights in (self.viral, self.score))
        probability = _probability(margin + self.viral_intercept, self.platt)
        return interval_around(probability, score + self.score_intercept, self.spread)


def _kernel_weights(machine: Any, kernel: Any) -> Floats:
    """Convert a machine's weights of features to weights (L,) of landmarks: features are linear in kernel values."""
    return np.asarray(machine.coef_.astype(np.float64).ravel() @ kernel.normalization_.astype(np.float64))


def _classifier(features: Matrix, viral: npt.NDArray[np.bool_], c: float) -> Any:
    from sklearn.svm import LinearSVC

    return LinearSVC(C=c, dual=False, max_iter=_MAX_ITER).fit(features, viral)


def _regressor(features: Matrix, score: Floats, c: float) -> Any:
    from sklearn.svm import LinearSVR

    return LinearSVR(C=c, loss="squared_epsilon_insensitive", dual=False, max_iter=_MAX_ITER).fit(features, score)


def _platt(margin: Floats, viral: npt.NDArray[np.bool_]) -> Floats:
    """Fit slope and intercept of the log odds over the margin; the identity if all posts are of one class."""
    from sklearn.linear_model import LogisticRegression

    if viral.all() or not viral.any():
        return np.array([1.0, 0.0])
    fitted = LogisticRegression().fit(margin[:, None], viral)
    # A higher margin must never mean a lower probability.
    return np.array([max(0.0, fitted.coef_[0, 0]), fitted.intercept_[0]])


def _probability(margin: Floats, platt: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(platt[0] * margin + platt[1]))
