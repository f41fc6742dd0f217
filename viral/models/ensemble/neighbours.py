"""The k posts of the training split that are most alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch
from viral.models.ensemble.member import Floats, Tensors, log_loss, squared_loss
from viral.models.ensemble.rows import Layout, Matrix, Rows, Source
from viral.models.predictions import PredictionBatch

_KS = (10, 30, 100)


@dataclass(frozen=True)
class Neighbours:
    """Reference posts: vectors (R, columns), viral (R,) and score (R,); and how many are asked for each of the two.

    Half precision would halve the file, and change which neighbours are nearest.
    """

    limit: ClassVar[int] = 20_000
    grown: ClassVar[bool] = False

    vectors: Matrix
    viral: npt.NDArray[np.uint8]
    score: Floats
    asked: npt.NDArray[np.int64]

    @classmethod
    def fit(cls, layout: Layout, train: Source, held: Rows, seed: int) -> tuple[Self, dict[str, Any]]:
        """With as many neighbours, of 10, 30 or 100, as is best on `held`."""
        rows = train.all()
        vectors = layout.filled(rows.batch)
        sizes = [min(k, len(rows)) for k in _KS]
        several = {k: cls(vectors, rows.viral.astype(np.uint8), rows.score, np.array([k, k])) for k in sizes}
        said = {k: each(layout, held.batch) for k, each in several.items()}
        viral = min(sizes, key=lambda k: log_loss(said[k].probability, held.viral))
        score = min(sizes, key=lambda k: squared_loss(said[k].score, held.score))
        return replace(several[viral], asked=np.array([viral, score])), {"k": viral, "k_score": score}

    @classmethod
    def made(cls, tensors: Tensors) -> Self:
        """From its arrays."""
        return cls(**tensors)

    def tensors(self) -> Tensors:
        """Its arrays."""
        return {"vectors": self.vectors, "viral": self.viral, "score": self.score, "asked": self.asked}

    @cached_property
    def index(self) -> Any:
        """The reference posts, ready to be searched."""
        from sklearn.neighbors import NearestNeighbors

        return NearestNeighbors(algorithm="brute").fit(self.vectors)

    def __call__(self, layout: Layout, batch: Batch) -> PredictionBatch:
        """Predict: the share of viral neighbours, the mean of their scores, and their 5 % and 95 % quantiles."""
        found = self.index.kneighbors(layout.filled(batch), int(self.asked.max()), return_distance=False)
        viral, score = self.viral[found[:, : self.asked[0]]], self.score[found[:, : self.asked[1]]]
        low, high = np.quantile(score, [0.05, 0.95], axis=1)
        middle = np.clip(score.mean(axis=1), low, high)
        # One more neighbour of average luck: none of them viral does not mean never.
        probability = (viral.sum(axis=1) + self.viral.mean()) / (viral.shape[1] + 1)
        return PredictionBatch.from_quantiles(probability, np.stack([low, middle, high], axis=1))
