"""Loading, saving and prediction of ensembles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from viral.datasets.streams import Batch, Stream, concat, from_dict
from viral.models.ensemble.member import Arrays, Member, member_class
from viral.models.ensemble.rows import Layout
from viral.models.mixing import MixingWeights, mix, redistribute
from viral.models.predictions import PredictionBatch
from viral.models.predictor import BLOCK
from viral.models.train_config import Scaling
from viral.registry.registry import ModelVersion

_INPUTS = "inputs"  # prefix of the input statistics in the weights file


@dataclass(frozen=True)
class EnsemblePredictor:
    """Weighted members of an ensemble. Contributions are measured by occlusion."""

    layout: Layout
    members: Mapping[str, Member]
    weights: MixingWeights
    scaling: Scaling
    row_multiple = BLOCK

    def __call__(self, batch: Batch) -> PredictionBatch:
        """Predict.

        The contribution of a stream is the change of the score without it, normalised over the streams.
        """
        streams, count = self.layout.streams, len(batch.present)
        # All variants in one batch: each member is called once.
        variants = concat([batch, *(_without(batch, stream, column) for column, stream in enumerate(streams))])
        prediction = mix([member(self.layout, variants) for member in self.members.values()], self.weights)
        scores = prediction.score.reshape(1 + len(streams), count)
        return PredictionBatch.from_quantiles(
            prediction.probability[:count],
            prediction.quantiles[:count] * self.scaling.scale + self.scaling.mean,
            contributions=redistribute(np.abs(scores[1:] - scores[0]).T, batch.present),
        )


def load(model: ModelVersion) -> EnsemblePredictor:
    """Load an ensemble; members of weight zero are skipped."""
    from safetensors.numpy import load as load_tensors

    arrays, card = load_tensors(model.weights), model.card
    inputs = _group(arrays, _INPUTS)
    layout = Layout(from_dict(card["config"]["streams"]), inputs["mean"], inputs["scale"])
    weights = {name: entry["weights"] for name, entry in card["members"].items() if any(entry["weights"].values())}
    members = {name: member_class(name).from_arrays(_group(arrays, name)) for name in weights}
    return EnsemblePredictor(
        layout, members, MixingWeights.from_dicts(list(weights.values())), Scaling(**card["target"])
    )


def to_bytes(layout: Layout, members: Mapping[str, Arrays]) -> bytes:
    """Serialise an ensemble: the arrays of each member, prefixed with its name, and the statistics of the inputs."""
    from safetensors.numpy import save

    groups: dict[str, Arrays] = {_INPUTS: {"mean": layout.mean, "scale": layout.scale}, **members}
    named = {f"{group}.{name}": array for group, arrays in groups.items() for name, array in arrays.items()}
    stored: bytes = save({name: np.ascontiguousarray(array) for name, array in named.items()})
    return stored


def _group(arrays: Mapping[str, Any], group: str) -> Arrays:
    return {name.removeprefix(f"{group}."): array for name, array in arrays.items() if name.startswith(f"{group}.")}


def _without(batch: Batch, stream: Stream, column: int) -> Batch:
    present = batch.present.copy()
    present[:, column] = False
    return Batch({**batch.vectors, stream.name: np.zeros_like(batch.vectors[stream.name])}, present)
