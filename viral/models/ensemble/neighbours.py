"""Nearest-neighbour member of an ensemble: predicts from the k most similar training posts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch
from viral.models.ensemble.member import Arrays, log_loss, squared_loss
from viral.models.ensemble.rows import LabelledBatch, Layout, Matrix, RowSource
from viral.models.predictions import Floats, PredictionBatch

_KS = (10, 30, 100)  # with fewer than 10 the 5 % and 95 % quantiles would be the extremes; steps of about three


@dataclass(frozen=True)
class Neighbours:
    """Reference posts: vectors (R, columns), viral (R,) and score (R,); `k` (2,) for P(viral) and for the score.

    Half precision would halve the file, but change which neighbours are nearest.
    """

    max_rows: ClassVar[int] = 20_000  # all are stored with the model and compared with every post to score
    distributed: ClassVar[bool] = False

    vectors: Matrix
    viral: npt.NDArray[np.uint8]
    score: Floats
    k: npt.NDArray[np.int64]

    @classmethod
    def fit(cls, layout: Layout, train: RowSource, validation: LabelledBatch, seed: int) -> tuple[Self, dict[str, Any]]:
        """Select the best numbers of neighbours for P(viral) and for the score."""
        posts = train.read_all()
        vectors = layout.standardised(posts.batch)
        sizes = [min(k, len(posts)) for k in _KS]
        members = {k: cls(vectors, posts.viral.astype(np.uint8), posts.score, np.array([k, k])) for k in sizes}
        predictions = {k: member(layout, validation.batch) for k, member in members.items()}
        viral = min(sizes, key=lambda k: log_loss(predictions[k].probability, validation.viral))
        score = min(sizes, key=lambda k: squared_loss(predictions[k].score, validation.score))
        return replace(members[viral], k=np.array([viral, score])), {"k": viral, "k_score": score}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Restore from `to_arrays`."""
        return cls(arrays["vectors"], arrays["viral"], arrays["score"], arrays["asked"])

    def to_arrays(self) -> Arrays:
        """Return the fields as arrays; saved models use the name `asked` for `k`."""
        return {"vectors": self.vectors, "viral": self.viral, "score": self.score, "asked": self.k}

    @cached_property
    def index(self) -> Any:
        """Search index of the reference posts."""
        from sklearn.neighbors import NearestNeighbors

        # In hundreds of dimensions a tree would visit nearly all posts anyway.
        return NearestNeighbors(algorithm="brute").fit(self.vectors)

    def __call__(self, layout: Layout, batch: Batch) -> PredictionBatch:
        """Predict the fraction of viral neighbours, and the mean and the 5 % and 95 % quantiles of their scores."""
        # Searched once, for the larger of the two numbers.
        nearest = self.index.kneighbors(layout.standardised(batch), int(self.k.max()), return_distance=False)
        viral, score = self.viral[nearest[:, : self.k[0]]], self.score[nearest[:, : self.k[1]]]
        low, high = np.quantile(score, [0.05, 0.95], axis=1)
        # Add one average neighbour: the probability is above 0 even if none of the k is viral.
        probability = (viral.sum(axis=1) + self.viral.mean()) / (viral.shape[1] + 1)
        return PredictionBatch(probability, np.clip(score.mean(axis=1), low, high), low, high)
