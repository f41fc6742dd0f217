"""Interface of the members of an ensemble, and their names."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch
from viral.errors import ConfigError
from viral.models.ensemble.rows import LabelledBatch, Layout, RowSource
from viral.models.predictions import Floats, PredictionBatch

Arrays = dict[str, npt.NDArray[Any]]

MEMBERS: Mapping[str, str] = {
    "logistic": "viral.models.ensemble.linear:LinearMember",
    "forest": "viral.models.ensemble.trees:Forest",
    "boosting": "viral.models.ensemble.trees:Boosting",
    "svm": "viral.models.ensemble.svm:Svm",
    "knn": "viral.models.ensemble.neighbours:Neighbours",
    "ngrams": "viral.models.ensemble.ngrams:NgramMember",
    "followers": "viral.models.ensemble.simple:Followers",
    "constant": "viral.models.ensemble.simple:Constant",
}
"""`module:class` of each member, by name."""

_EPSILON = 1e-6  # probabilities are clipped to this distance from 0: the log loss stays finite


class Member(Protocol):
    """Classifier and regressor of one family.

    Methods take the layout as an argument: all members share it, and it is stored once.
    """

    max_rows: ClassVar[int]
    """Maximal number of training posts; a larger split is sampled."""
    distributed: ClassVar[bool]
    """Whether several workers can fit one member jointly, each on up to `max_rows` posts of its own buckets."""

    @classmethod
    def fit(cls, layout: Layout, train: RowSource, validation: LabelledBatch, seed: int) -> tuple[Self, dict[str, Any]]:
        """Fit on `train` with the best settings on `validation`; returns the member and these settings."""

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Restore from `to_arrays`."""

    def to_arrays(self) -> Arrays:
        """Return the complete state as arrays."""

    def __call__(self, layout: Layout, batch: Batch) -> PredictionBatch:
        """Predict; scores are in standardised units."""


class ArrayFields:
    """Mixin for dataclasses whose fields are the arrays of a member."""

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Restore from `to_arrays`."""
        return cls(**arrays)

    def to_arrays(self) -> Arrays:
        """Return the fields as arrays."""
        return dict(vars(self))


def member_class(name: str) -> type[Member]:
    """Import the class of a member.

    Raises:
        ConfigError: no member has this name.
    """
    if name not in MEMBERS:
        raise ConfigError(f"an ensemble has no member {name!r}: choose from {', '.join(MEMBERS)}")
    module, _, attribute = MEMBERS[name].partition(":")
    member: type[Member] = getattr(import_module(module), attribute)
    return member


def log_loss(probability: Floats, viral: npt.NDArray[np.bool_]) -> float:
    """Return the mean log loss."""
    likelihood = np.clip(np.where(viral, probability, 1 - probability), _EPSILON, 1)
    return float(-np.log(likelihood).mean())


def squared_loss(predicted: Floats, score: Floats) -> float:
    """Return the mean squared error."""
    return float(((predicted - score) ** 2).mean())


def residual_spread(predicted: Floats, score: Floats) -> Floats:
    """Return the 5 % and 95 % quantiles (2,) of the residuals: the interval of members without one of their own."""
    # On validation posts: residuals of training posts are too small.
    low, high = np.quantile(score - predicted, [0.05, 0.95])
    # The interval holds the score itself, even if all residuals have one sign.
    return np.array([min(low, 0.0), max(high, 0.0)])


def interval_around(probability: Floats, score: Floats, spread: Floats) -> PredictionBatch:
    """Build predictions whose interval is `spread`, from `residual_spread`, around each score."""
    return PredictionBatch(probability, score, score + spread[0], score + spread[1])
