"""Stack of saved models of one feature set, mixed with weights learned on the validation split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch, Stream, from_dict
from viral.models.mixing import MixingWeights, mix, redistribute
from viral.models.predictions import Floats, PredictionBatch
from viral.models.predictor import Predictor
from viral.models.predictor import load as load_predictor
from viral.registry.registry import ModelVersion


@dataclass(frozen=True)
class StackMember:
    """One model of a stack, with its input streams."""

    predictor: Predictor
    streams: tuple[Stream, ...]


@dataclass(frozen=True)
class StackedPredictor:
    """Weighted models of a stack. A post without any input of a model is scored by the other models."""

    streams: tuple[Stream, ...]
    members: Sequence[StackMember]
    weights: MixingWeights

    @property
    def row_multiple(self) -> int:
        """The largest multiple of any model."""
        return max(member.predictor.row_multiple for member in self.members)

    def __call__(self, batch: Batch) -> PredictionBatch:
        """Predict; contributions are averaged over the models with the weights of their scores."""
        predictions, has_inputs = self._predict_members(batch)
        mixed = mix(predictions, self.weights, has_inputs)
        contributions = np.zeros((len(batch.present), len(self.streams)))
        weights = redistribute(self.weights.score, has_inputs).T
        for member, prediction, weight in zip(self.members, predictions, weights, strict=True):
            contributions[:, self._columns(member)] += weight[:, None] * prediction.contributions
        return replace(mixed, contributions=contributions, rates=self._rates(predictions, has_inputs))

    def _predict_members(self, batch: Batch) -> tuple[list[PredictionBatch], npt.NDArray[np.bool_]]:
        """Predict with each model; rows are meaningless where the returned `has_inputs` (N, members) is False."""
        presence = [batch.present[:, self._columns(member)] for member in self.members]
        has_inputs = np.stack([present.any(axis=1) for present in presence], axis=1)
        predictions = []
        for member, present in zip(self.members, presence, strict=True):
            # A model needs at least one stream: where a post has none, all are passed as zeros.
            padded = present | ~present.any(axis=1, keepdims=True)
            vectors = {stream.name: batch.vectors[stream.name] for stream in member.streams}
            predictions.append(member.predictor(Batch(vectors, padded)))
        return predictions, has_inputs

    def _columns(self, member: StackMember) -> list[int]:
        return [self.streams.index(stream) for stream in member.streams]

    def _rates(self, predictions: Sequence[PredictionBatch], has_inputs: npt.NDArray[np.bool_]) -> Floats | None:
        """Average the rates over the models that predict them; zero where none of these models has inputs."""
        with_rates = np.array([prediction.rates is not None for prediction in predictions])
        if not with_rates.any():
            return None
        usable = has_inputs & with_rates
        weights = redistribute(self.weights.score, usable | ~usable.any(axis=1, keepdims=True)) * with_rates
        zeros = np.zeros((len(usable), 3))
        rates = [zeros if prediction.rates is None else prediction.rates for prediction in predictions]
        return np.asarray(sum(weight[:, None] * rate for weight, rate in zip(weights.T, rates, strict=True)))


def union_streams(cards: Sequence[Mapping[str, Any]]) -> tuple[Stream, ...]:
    """Return the input streams of all models, without duplicates."""
    return tuple(dict.fromkeys(stream for card in cards for stream in from_dict(card["config"]["streams"])))


def load(model: ModelVersion) -> StackedPredictor:
    """Load a stack; models of weight zero are skipped."""
    from safetensors.numpy import load as load_tensors
    from safetensors.numpy import save

    tensors, members, weights = load_tensors(model.weights), [], []
    for index, entry in enumerate(model.card["members"]):
        # Not loaded, since it would change nothing.
        if not any(entry["weights"].values()):
            continue
        # Each member is stored as if it were a model of its own, with its index before the names.
        arrays = {name.partition(".")[2]: array for name, array in tensors.items() if name.startswith(f"{index}.")}
        predictor = load_predictor(ModelVersion(entry["name"], entry["version"], entry["card"], save(arrays)))
        members.append(StackMember(predictor, from_dict(entry["card"]["config"]["streams"])))
        weights.append(entry["weights"])
    streams = from_dict(model.card["config"]["streams"])
    return StackedPredictor(streams, members, MixingWeights.from_dicts(weights))


def to_bytes(models: Sequence[ModelVersion]) -> bytes:
    """Serialise a stack: the tensors of each model, prefixed with its index."""
    from safetensors.numpy import load as load_tensors
    from safetensors.numpy import save

    tensors = [load_tensors(model.weights) for model in models]
    stored: bytes = save({f"{i}.{name}": array for i, member in enumerate(tensors) for name, array in member.items()})
    return stored
