"""Support vector machines with a radial kernel, approximated by landmarks so that time grows with posts, not squares.

Source: Williams & Seeger 2001 (Nyström method); probabilities by Platt 1999.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch
from viral.models.ensemble.member import Floats, Tensors, around, log_loss, spread_of, squared_loss
from viral.models.ensemble.rows import Layout, Matrix, Rows, Source
from viral.models.predictions import PredictionBatch

LANDMARKS = 400
_WIDTH = 0.5  # of the kernel, over the number of streams: filled rows have about that squared length
_PENALTIES = (0.01, 0.1, 1.0, 10.0)


@dataclass(frozen=True)
class Svm:
    """Landmarks (L, columns), and what the kernel with each counts for: `viral` (L,), `score` (L,).

    `platt` (2,) makes a probability of a margin.
    """

    limit: ClassVar[int] = 100_000
    grown: ClassVar[bool] = False

    gamma: Floats
    landmarks: Matrix
    viral: Floats
    viral_intercept: Floats
    platt: Floats
    score: Floats
    score_intercept: Floats
    spread: Floats

    @classmethod
    def fit(cls, layout: Layout, train: Source, held: Rows, seed: int) -> tuple[Self, dict[str, Any]]:
        """With the penalties, of four each, that are best on `held`."""
        from sklearn.kernel_approximation import Nystroem

        rows = train.all()
        x, known = layout.filled(rows.batch), layout.filled(held.batch)
        gamma = _WIDTH / len(layout.streams)
        landmarks = Nystroem(gamma=gamma, n_components=min(LANDMARKS, len(x)), random_state=seed).fit(x)
        seen, new = landmarks.transform(x), landmarks.transform(known)
        machines = {c: _classifier(seen, rows.viral, c) for c in _PENALTIES}
        margins = {c: machine.decision_function(new) for c, machine in machines.items()}
        platts = {c: _platt(margins[c], held.viral) for c in _PENALTIES}
        c = min(_PENALTIES, key=lambda c: log_loss(_probability(margins[c], platts[c]), held.viral))
        regressors = {each: _regressor(seen, rows.score, each) for each in _PENALTIES}
        best = min(_PENALTIES, key=lambda each: squared_loss(regressors[each].predict(new), held.score))
        machine, regressor = machines[c], regressors[best]
        made = cls(
            gamma=np.array([gamma]),
            landmarks=landmarks.components_,
            viral=_of_kernels(machine, landmarks),
            viral_intercept=np.atleast_1d(machine.intercept_),
            platt=platts[c],
            score=_of_kernels(regressor, landmarks),
            score_intercept=np.atleast_1d(regressor.intercept_),
            spread=spread_of(regressor.predict(new), held.score),
        )
        return made, {"gamma": gamma, "C": c, "C_score": best, "landmarks": len(made.landmarks)}

    @classmethod
    def made(cls, tensors: Tensors) -> Self:
        """From its arrays."""
        return cls(**tensors)

    def tensors(self) -> Tensors:
        """Its arrays."""
        return asdict(self)

    def __call__(self, layout: Layout, batch: Batch) -> PredictionBatch:
        """Predict."""
        from sklearn.metrics.pairwise import rbf_kernel

        kernels = rbf_kernel(layout.filled(batch), self.landmarks, gamma=float(self.gamma[0])).astype(np.float64)
        # Not a matrix product: those round a row by where it stands among the others.
        margin, middle = (np.einsum("nl,l->n", kernels, each) for each in (self.viral, self.score))
        probability = _probability(margin + self.viral_intercept, self.platt)
        return PredictionBatch.from_quantiles(probability, around(middle + self.score_intercept, self.spread))


def _of_kernels(machine: Any, landmarks: Any) -> Floats:
    """What a linear machine on the features counts each kernel for, (L,): the features are linear in the kernels."""
    weights: Floats = machine.coef_.astype(np.float64).ravel() @ landmarks.normalization_.astype(np.float64)
    return weights


def _classifier(features: Matrix, viral: npt.NDArray[np.bool_], c: float) -> Any:
    from sklearn.svm import LinearSVC

    return LinearSVC(C=c, dual=False, max_iter=10_000).fit(features, viral)


def _regressor(features: Matrix, score: Floats, c: float) -> Any:
    from sklearn.svm import LinearSVR

    return LinearSVR(C=c, loss="squared_epsilon_insensitive", dual=False, max_iter=10_000).fit(features, score)


def _platt(margin: Floats, viral: npt.NDArray[np.bool_]) -> Floats:
    """Slope and intercept of the log odds over the margin; of one class alone, nothing can be said of the slope."""
    from sklearn.linear_model import LogisticRegression

    if viral.all() or not viral.any():
        return np.array([1.0, 0.0])
    fitted = LogisticRegression().fit(margin[:, None], viral)
    return np.array([max(0.0, fitted.coef_[0, 0]), fitted.intercept_[0]])


def _probability(margin: Floats, platt: Floats) -> Floats:
    from scipy.special import expit

    probability: Floats = expit(platt[0] * margin + platt[1])
    return probability
