"""What an ensemble asks of its members, and which there are."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch
from viral.errors import ConfigError
from viral.models.ensemble.rows import Layout, Rows, Source
from viral.models.predictions import PredictionBatch

Floats = npt.NDArray[np.float64]
Tensors = dict[str, npt.NDArray[Any]]

MEMBERS: Mapping[str, str] = {
    "logistic": "viral.models.ensemble.linear:Linear",
    "forest": "viral.models.ensemble.trees:Forest",
    "boosting": "viral.models.ensemble.trees:Boosting",
    "svm": "viral.models.ensemble.svm:Svm",
    "knn": "viral.models.ensemble.neighbours:Neighbours",
}
"""`module:class` of each member, by name."""


class Member(Protocol):
    """A classifier and a regressor of one family.

    It takes the layout at each call, so that its tensors are its own alone.
    """

    limit: ClassVar[int]
    """It learns from at most so many posts: of more, a sample."""
    grown: ClassVar[bool]
    """Whether several workers can fit it together, each from its share of the posts, and each so many."""

    @classmethod
    def fit(cls, layout: Layout, train: Source, held: Rows, seed: int) -> tuple[Self, dict[str, Any]]:
        """Learn from `train`, with the settings that are best on `held`; they are returned too."""

    @classmethod
    def made(cls, tensors: Tensors) -> Self:
        """From what `tensors` gave."""

    def tensors(self) -> Tensors:
        """All that it is, as arrays."""

    def __call__(self, layout: Layout, batch: Batch) -> PredictionBatch:
        """Predict."""


def member_class(name: str) -> type[Member]:
    """The class of a member.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in MEMBERS:
        raise ConfigError(f"an ensemble has no member {name!r}: choose from {', '.join(MEMBERS)}")
    module, _, attribute = MEMBERS[name].partition(":")
    found: type[Member] = getattr(import_module(module), attribute)
    return found


def log_loss(probability: Floats, viral: npt.NDArray[np.bool_]) -> float:
    """Mean log loss, of probabilities kept off 0 and 1."""
    sure = np.clip(np.where(viral, probability, 1 - probability), 1e-6, 1)
    return float(-np.log(sure).mean())


def squared_loss(middle: Floats, score: Floats) -> float:
    """Mean squared error."""
    return float(((middle - score) ** 2).mean())


def spread_of(middle: Floats, score: Floats) -> Floats:
    """How far below and above `middle` 90 % of the scores lie, (2,): the interval of a member that knows no other."""
    low, high = np.quantile(score - middle, [0.05, 0.95])
    return np.array([min(low, 0.0), max(high, 0.0)])


def around(middle: Floats, spread: Floats) -> Floats:
    """Quantiles (N, 3) from the middle and that spread."""
    return np.stack([middle + spread[0], middle, middle + spread[1]], axis=1)
