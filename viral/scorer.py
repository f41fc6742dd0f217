"""The only place where features meet a model. Batch, endpoint and command line all score through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from viral.errors import TableError, UsageError
from viral.extractors.extractor import Vector
from viral.extractors.feature_set import FeatureSet
from viral.extractors.root_weights import RootWeights
from viral.extractors.weights import local_file
from viral.models.predictor import load
from viral.models.streams import Batch, Stream, from_dict, from_vectors
from viral.registry import Registry, Saved
from viral.store import Store

RATES = ("likes", "comments", "shares")
BLOCK = 64  # posts that go through the network at once, always: so a post's score never depends on its neighbours


@dataclass(frozen=True)
class Scored:
    """What a model says of one post.

    `score` is the median of the label (in `label`'s units) with its 5 % and 95 % quantiles `low` and `high`;
    `rates` are log rates of likes, comments and shares to views, empty where the model knows none; `modalities` gives
    each present modality's share of the prediction, summing to one; `notes` says what its reader must know (random
    weights, say).
    """

    probability: float
    score: float
    low: float
    high: float
    rates: Mapping[str, float]
    modalities: Mapping[str, float]
    missing: tuple[str, ...]
    label: str
    model: str
    notes: tuple[str, ...] = ()


def feature_set_of(saved: Saved) -> FeatureSet:
    """The feature set that a model was trained on; weights that belong to the model are read from its store.

    Raises:
        ConfigError: this version of viral would make other vectors.
    """
    resolve = RootWeights(saved.store) if saved.store else local_file
    return FeatureSet.from_dict(saved.card["feature_set"], resolve=resolve)


class Scorer:
    """A saved model, ready to score.

    Args:
        saved: the model; its card names the feature set it was trained on.
    """

    def __init__(self, saved: Saved) -> None:
        self.saved = saved
        self.streams: tuple[Stream, ...] = from_dict(saved.card["config"]["streams"])
        self.label: str = saved.card["label"]["spec"]["definition"]
        self.notes = tuple(saved.card.get("notes", ()))
        self._predict = load(saved)

    @classmethod
    def load(cls, store: Store, reference: str) -> Scorer:
        """The scorer of a model in the store's registry, by `name`, `name/version` or `name@champion`."""
        return cls(Registry(store).load(reference))

    @property
    def feature_set(self) -> FeatureSet:
        """The feature set that its vectors must come from."""
        return feature_set_of(self.saved)

    def check(self, feature_set: FeatureSet) -> None:
        """Refuse vectors of another feature set.

        Raises:
            TableError: it is another.
        """
        expected = self.saved.card["feature_set"]["fingerprint"]
        if feature_set.fingerprint != expected:
            name = self.saved.card["feature_set"]["name"]
            raise TableError(
                f"model {self.saved} was trained on feature set {name}-{expected}, not on "
                f"{feature_set.name}-{feature_set.fingerprint}: backfill and score with {name}"
            )

    def score(self, rows: Sequence[Mapping[str, Vector | None]]) -> list[Scored]:
        """Score posts by their vectors, extractor by extractor.

        Raises:
            UsageError: a post has nothing at all to be scored from.
        """
        return self.score_batch(from_vectors(self.streams, rows)) if rows else []

    def score_batch(self, batch: Batch) -> list[Scored]:
        """Score posts that are arrays already. Raises as `score` does."""
        if not batch.present.any(axis=1).all():
            names = ", ".join(self._names())
            raise UsageError(f"there is nothing to score: a post needs at least one of {names}")
        count = len(batch.present)
        scored: list[Scored] = []
        for start in range(0, count, BLOCK):
            rows = np.minimum(np.arange(start, start + BLOCK), count - 1)
            scored += self._block(batch.take(rows), min(BLOCK, count - start))
        return scored

    def _block(self, batch: Batch, count: int) -> list[Scored]:
        said = self._predict(batch)
        return [
            self._scored(
                float(said.probability[row]),
                said.quantiles[row],
                () if said.rates is None else said.rates[row],
                said.shares[row],
                batch.present[row],
            )
            for row in range(count)  # what follows only fills the block
        ]

    def _scored(self, probability: float, quantiles: Any, rates: Any, gates: Any, present: Any) -> Scored:
        shares = dict.fromkeys(self._names(), 0.0)
        for stream, gate in zip(self.streams, gates, strict=True):
            shares[stream.modality] += float(gate)
        there = {stream.modality for stream, here in zip(self.streams, present, strict=True) if here}
        return Scored(
            probability=probability,
            score=float(quantiles[1]),
            low=float(quantiles[0]),
            high=float(quantiles[2]),
            rates=dict(zip(RATES, map(float, rates), strict=False)),
            modalities={name: share for name, share in shares.items() if name in there},
            missing=tuple(name for name in shares if name not in there),
            label=self.label,
            model=str(self.saved),
            notes=self.notes,
        )

    def _names(self) -> list[str]:
        return list(dict.fromkeys(stream.modality for stream in self.streams))
