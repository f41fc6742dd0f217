"""Several saved models of the same feature set as one: what each says, weighed by how good it was on held posts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch, Stream, from_dict
from viral.models.mixing import Weights, mix, shares_of
from viral.models.predictions import Floats, PredictionBatch
from viral.models.predictor import Predictor
from viral.models.predictor import load as load_any
from viral.registry.registry import Saved

KIND = "stacked"


@dataclass(frozen=True)
class Part:
    """A model of the stack, and the streams that it looks at."""

    predictor: Predictor
    streams: tuple[Stream, ...]


@dataclass(frozen=True)
class StackedPredictor:
    """Models with their weights. One that looks at nothing that a post has leaves its weight to the others."""

    streams: tuple[Stream, ...]
    parts: Sequence[Part]
    weights: Weights

    def __call__(self, batch: Batch) -> PredictionBatch:
        """Predict; a stream's share is that of the models' own shares, weighed as their scores are."""
        said, able = self._each(batch)
        mixed = mix(said, self.weights, able)
        shares = np.zeros((len(batch.present), len(self.streams)))
        for part, one, weight in zip(self.parts, said, shares_of(self.weights.score, able).T, strict=True):
            shares[:, self._places(part)] += weight[:, None] * one.contributions
        return replace(mixed, contributions=shares, rates=self._rates(said, able))

    def _each(self, batch: Batch) -> tuple[list[PredictionBatch], npt.NDArray[np.bool_]]:
        """What each model says, and whether it can: (N, parts). What it says where it cannot means nothing."""
        seen = [batch.present[:, self._places(part)] for part in self.parts]
        able = np.stack([present.any(axis=1) for present in seen], axis=1)
        said = []
        for part, present in zip(self.parts, seen, strict=True):
            # Where nothing is there, all of it, as zeros: a model needs something, and nobody asks for the answer.
            there = present | ~present.any(axis=1, keepdims=True)
            said.append(part.predictor(Batch({s.name: batch.vectors[s.name] for s in part.streams}, there)))
        return said, able

    def _places(self, part: Part) -> list[int]:
        return [self.streams.index(stream) for stream in part.streams]

    def _rates(self, said: Sequence[PredictionBatch], able: npt.NDArray[np.bool_]) -> Floats | None:
        """Of those models that know rates, weighed as their scores are; zero where none of those can say any."""
        knows = np.array([one.rates is not None for one in said])
        if not knows.any():
            return None
        able = able & knows
        weights = shares_of(self.weights.score, able | ~able.any(axis=1, keepdims=True)) * knows
        rates = [np.zeros((len(able), 3)) if one.rates is None else one.rates for one in said]
        return np.asarray(sum(weight[:, None] * rate for weight, rate in zip(weights.T, rates, strict=True)))


def union(cards: Sequence[Mapping[str, Any]]) -> tuple[Stream, ...]:
    """The streams of all these models, each once."""
    return tuple(dict.fromkeys(stream for card in cards for stream in from_dict(card["config"]["streams"])))


def load(saved: Saved) -> StackedPredictor:
    """Make the models that the card names, each from its own tensors."""
    from safetensors.numpy import load as tensors
    from safetensors.numpy import save

    arrays, members = tensors(saved.weights), saved.card["members"]
    asked = [at for at, each in enumerate(members) if any(each["weights"].values())]
    parts = []
    for at in asked:
        one = members[at]
        own = {name.partition(".")[2]: array for name, array in arrays.items() if name.partition(".")[0] == str(at)}
        predictor = load_any(Saved(one["name"], one["version"], one["card"], save(own)))
        parts.append(Part(predictor, from_dict(one["card"]["config"]["streams"])))
    return StackedPredictor(
        from_dict(saved.card["config"]["streams"]), parts, Weights.made([members[at]["weights"] for at in asked])
    )


def to_bytes(models: Sequence[Saved]) -> bytes:
    """The file of a stack: the tensors of each model, after its number."""
    from safetensors.numpy import load as tensors
    from safetensors.numpy import save

    saved: bytes = save(
        {f"{at}.{name}": array for at, each in enumerate(models) for name, array in tensors(each.weights).items()}
    )
    return saved
