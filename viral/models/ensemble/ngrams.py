"""Linear member of an ensemble on the n-grams of captions: names, slang and hashtags that no embedding knows.

Source: TF-IDF by Spärck Jones 1972, with the smoothing of scikit-learn's TfidfTransformer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch
from viral.models.ensemble.member import ArrayFields, interval_around, log_loss, residual_spread, squared_loss
from viral.models.ensemble.rows import LabelledBatch, Layout, RowSource
from viral.models.predictions import Floats, PredictionBatch

Ids = npt.NDArray[np.int64]

MAX_TERMS = 50_000  # the most frequent n-grams; rarer ones say little
_MIN_POSTS = 2  # an n-gram of one post says nothing about other posts
_PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # of rows of length one; the strongest leave little but the mean


@dataclass(frozen=True)
class NgramMember(ArrayFields):
    """Terms (T,) in ascending order, their inverse document frequency, and the weights of both models, (T,) each.

    `intercepts` (2,) are of P(viral), as log odds, and of the score; `averages` (2,) stand for posts without a text.
    """

    max_rows: ClassVar[int] = 100_000  # about 200 n-grams each, all in memory
    distributed: ClassVar[bool] = False

    terms: Ids
    idf: Floats
    viral: Floats
    score: Floats
    intercepts: Floats
    averages: Floats
    spread: Floats

    @classmethod
    def fit(cls, layout: Layout, train: RowSource, validation: LabelledBatch, seed: int) -> tuple[Self, dict[str, Any]]:
        """Fit logistic and ridge regression, each with the best of six penalties."""
        posts = train.read_all()
        ids, has_text = _ids(layout, posts.batch)
        averages = np.array([posts.viral.mean(), posts.score.mean()])
        terms, idf = _vocabulary(ids[has_text])
        zeros = np.zeros(len(terms))
        empty = cls(terms, idf, zeros, zeros, averages, averages, np.zeros(2))
        x, targets = empty._rows(ids[has_text]), (posts.viral[has_text], posts.score[has_text])
        # Of one class, or without any term, there is nothing to learn from: all posts get the averages.
        learns = len(terms) > 0 and 0 < targets[0].mean() < 1
        candidates = {p: _fitted(empty, x, *targets, p) for p in _PENALTIES} if learns else {0.0: _constant(empty)}
        predictions = {p: member(layout, validation.batch) for p, member in candidates.items()}
        # Each target has a penalty of its own: virality and score differ in noise.
        viral = min(candidates, key=lambda p: log_loss(predictions[p].probability, validation.viral))
        score = min(candidates, key=lambda p: squared_loss(predictions[p].score, validation.score))
        intercepts = np.array([candidates[viral].intercepts[0], candidates[score].intercepts[1]])
        spread = residual_spread(predictions[score].score, validation.score)
        weights = candidates[viral].viral, candidates[score].score
        member = cls(terms, idf, *weights, intercepts, averages, spread)
        return member, {"penalty": viral, "penalty_score": score, "terms": len(terms)}

    def __call__(self, layout: Layout, batch: Batch) -> PredictionBatch:
        """Predict; a post without a text gets the averages."""
        from scipy.special import expit

        ids, has_text = _ids(layout, batch)
        positions, values = self._values(ids)
        # Element by element, since the rounding of a matrix product would depend on the other rows.
        viral, score = ((values * weights[positions]).sum(axis=1) for weights in (self.viral, self.score))
        probability = np.where(has_text, expit(viral + self.intercepts[0]), self.averages[0])
        return interval_around(
            probability, np.where(has_text, score + self.intercepts[1], self.averages[1]), self.spread
        )

    def _values(self, ids: Ids) -> tuple[Ids, Floats]:
        """Return the positions of n-grams (N, D) among the terms, and their values: of length one per post."""
        if not len(self.terms):
            return np.zeros((len(ids), 0), np.int64), np.zeros((len(ids), 0))
        positions = np.minimum(np.searchsorted(self.terms, ids), len(self.terms) - 1)
        values = np.where(self.terms[positions] == ids, self.idf[positions], 0.0)
        length = np.sqrt((values**2).sum(axis=1, keepdims=True))
        return positions, values / np.where(length > 0, length, 1)

    def _rows(self, ids: Ids) -> Any:
        """Return the posts as a sparse matrix (N, T)."""
        from scipy.sparse import csr_matrix

        positions, values = self._values(ids)
        rows, columns = np.nonzero(values)
        return csr_matrix((values[rows, columns], (rows, positions[rows, columns])), (len(ids), len(self.terms)))


def _ids(layout: Layout, batch: Batch) -> tuple[Ids, npt.NDArray[np.bool_]]:
    """Return the n-grams (N, D) of all sparse streams, 0 for none, and which posts have any."""
    ids = [batch.vectors[stream.name].astype(np.int64) for stream in layout.streams if stream.sparse]
    present = batch.present[:, [stream.sparse for stream in layout.streams]].any(axis=1)
    return np.concatenate(ids, axis=1), np.asarray(present)


def _vocabulary(ids: Ids) -> tuple[Ids, Floats]:
    """Return the n-grams of several posts, ascending, and their inverse document frequency."""
    terms, counts = np.unique(ids[ids > 0], return_counts=True)
    # Of equally frequent ones the first: as good as any, but always the same.
    chosen = np.sort(np.argsort(-counts, kind="stable")[:MAX_TERMS])
    chosen = chosen[counts[chosen] >= _MIN_POSTS]
    return terms[chosen], 1 + np.log((1 + len(ids)) / (1 + counts[chosen]))


def _fitted(empty: NgramMember, x: Any, viral: npt.NDArray[np.bool_], score: Floats, penalty: float) -> NgramMember:
    from sklearn.linear_model import LogisticRegression, Ridge

    logistic = LogisticRegression(C=1 / penalty, max_iter=300).fit(x, viral)
    # With a fixed solver: which one scikit-learn chooses differs between its versions.
    ridge = Ridge(alpha=penalty, solver="sparse_cg").fit(x, score)
    intercepts = np.array([logistic.intercept_[0], ridge.intercept_], np.float64)
    weights = (logistic.coef_[0].astype(np.float64), ridge.coef_.astype(np.float64))
    return replace(empty, viral=weights[0], score=weights[1], intercepts=intercepts)


def _constant(empty: NgramMember) -> NgramMember:
    """The member that says the averages of every post."""
    from scipy.special import logit

    rate = np.clip(empty.averages[0], 1e-6, 1 - 1e-6)  # finite log odds if all posts are of one class
    return replace(empty, intercepts=np.array([logit(rate), empty.averages[1]]))
