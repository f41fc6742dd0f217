"""Members that are baselines: an ensemble that holds them falls back towards them where the others say too much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch, Stream
from viral.extractors.metadata import METADATA_COLUMNS, Metadata
from viral.models.ensemble.member import ArrayFields, interval_around, log_loss, residual_spread, squared_loss
from viral.models.ensemble.rows import LabelledBatch, Layout, RowSource
from viral.models.numbers import bin_edges, widths
from viral.models.predictions import Floats, PredictionBatch

_BINS = 8  # of the number of followers: enough for a curve, too few to recognise an author by it
_MIN_POSTS = 40  # with followers: five a bin
_PENALTIES = (0.1, 1.0, 10.0, 100.0)  # of bins of length one, each holding an eighth of the posts
_FOLLOWERS, _KNOWN = (METADATA_COLUMNS.index(name) for name in ("log_followers", "followers_known"))


@dataclass(frozen=True)
class Constant(ArrayFields):
    """The averages (2,) of the training posts: share of viral ones, and score."""

    max_rows: ClassVar[int] = 20_000  # the averages of more are nearly the same
    distributed: ClassVar[bool] = False

    averages: Floats
    spread: Floats

    @classmethod
    def fit(cls, layout: Layout, train: RowSource, validation: LabelledBatch, seed: int) -> tuple[Self, dict[str, Any]]:
        """Average the training posts; the interval is that of the validation posts."""
        posts = train.read_all()
        averages = np.array([posts.viral.mean(), posts.score.mean()])
        return cls(averages, residual_spread(np.full(len(validation), averages[1]), validation.score)), {}

    def __call__(self, layout: Layout, batch: Batch) -> PredictionBatch:
        """Predict the same of every post."""
        probability, score = np.tile(self.averages, (len(batch.present), 1)).T
        return interval_around(probability, score, self.spread)


@dataclass(frozen=True)
class Followers(ArrayFields):
    """Weights (2, `_BINS` + 1) of a piecewise-linear curve over the logarithm of the followers, intercepts last.

    The first row gives the log odds of P(viral), the second the score. `averages` (2,) stand for posts by authors whose
    followers are unknown.
    """

    max_rows: ClassVar[int] = 50_000  # more hardly change eight numbers
    distributed: ClassVar[bool] = False

    edges: npt.NDArray[np.float32]
    weights: Floats
    averages: Floats
    spread: Floats

    @classmethod
    def fit(cls, layout: Layout, train: RowSource, validation: LabelledBatch, seed: int) -> tuple[Self, dict[str, Any]]:
        """Fit logistic and ridge regression, each with the best of four penalties."""
        posts = train.read_all()
        followers = _followers(layout, posts.batch)
        known, averages = np.isfinite(followers), np.array([posts.viral.mean(), posts.score.mean()])
        viral, score = posts.viral[known], posts.score[known]
        nothing = np.zeros((2, _BINS + 1))
        if known.sum() < _MIN_POSTS or not 0 < viral.mean() < 1:
            spread = residual_spread(np.full(len(validation), averages[1]), validation.score)
            return cls(np.zeros((1, _BINS + 1), np.float32), nothing, averages, spread), {"posts": 0}
        edges = bin_edges(followers[known][:, None].astype(np.float32), _BINS)
        x = _encode(edges, followers[known])
        candidates = {p: cls(edges, _fitted(x, viral, score, p), averages, np.zeros(2)) for p in _PENALTIES}
        predictions = {p: member(layout, validation.batch) for p, member in candidates.items()}
        best = min(_PENALTIES, key=lambda p: log_loss(predictions[p].probability, validation.viral))
        best_score = min(_PENALTIES, key=lambda p: squared_loss(predictions[p].score, validation.score))
        weights = np.stack([candidates[best].weights[0], candidates[best_score].weights[1]])
        spread = residual_spread(predictions[best_score].score, validation.score)
        return cls(edges, weights, averages, spread), {"penalty": best, "penalty_score": best_score}

    def __call__(self, layout: Layout, batch: Batch) -> PredictionBatch:
        """Predict; a post by an author whose followers are unknown gets the averages."""
        from scipy.special import expit

        followers = _followers(layout, batch)
        known = np.isfinite(followers) & self.weights.any()
        x = _encode(self.edges, np.where(known, followers, 0))
        # Element by element, since the rounding of a matrix product would depend on the other rows.
        viral, score = ((x * row[:-1]).sum(axis=1) + row[-1] for row in self.weights)
        probability = np.where(known, expit(viral), self.averages[0])
        return interval_around(probability, np.where(known, score, self.averages[1]), self.spread)


def followers_stream(streams: Sequence[Stream]) -> Stream | None:
    """Return the stream that holds the author's followers; None if there is none."""
    shape = (Metadata.name, Metadata.modality, Metadata.dim)
    return next((stream for stream in streams if (stream.name, stream.modality, stream.dim) == shape), None)


def _followers(layout: Layout, batch: Batch) -> Floats:
    """Return the logarithm of the followers (N,), NaN where unknown."""
    stream = followers_stream(layout.streams)
    assert stream is not None, "`usable_members` lets no other inputs pass"
    vectors = batch.vectors[stream.name].astype(np.float64)
    return np.where(vectors[:, _KNOWN] > 0, vectors[:, _FOLLOWERS], np.nan)


def _encode(edges: npt.NDArray[np.float32], followers: Floats) -> Floats:
    """Encode (N,) as how far each reaches into the bins, (N, `_BINS`)."""
    return np.asarray(np.clip((followers[:, None] - edges[0, :-1]) / widths(edges)[0], 0, 1), np.float64)


def _fitted(x: Floats, viral: npt.NDArray[np.bool_], score: Floats, penalty: float) -> Floats:
    from sklearn.linear_model import LogisticRegression, Ridge

    logistic = LogisticRegression(C=1 / penalty, max_iter=300).fit(x, viral)
    ridge = Ridge(alpha=penalty, solver="cholesky").fit(x, score)
    return np.stack(
        [np.append(logistic.coef_[0], logistic.intercept_[0]), np.append(ridge.coef_, ridge.intercept_)]
    ).astype(np.float64)
