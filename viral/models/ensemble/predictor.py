"""A saved ensemble, ready to predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from viral.datasets.streams import Batch, Stream, from_dict
from viral.models.ensemble.member import Floats, Member, Tensors, member_class
from viral.models.ensemble.rows import Layout
from viral.models.mixing import Weights, mix
from viral.models.predictions import PredictionBatch
from viral.models.train_config import Scaling
from viral.registry.registry import Saved

_INPUTS = "inputs"


@dataclass(frozen=True)
class EnsemblePredictor:
    """Members with their weights. What it says of a stream's share is found by taking the stream away."""

    layout: Layout
    members: Mapping[str, Member]
    weights: Weights
    scaling: Scaling

    def __call__(self, batch: Batch) -> PredictionBatch:
        """Predict.

        A stream's share is how far the score moves when that stream is absent, of the sum of all such moves.
        """
        streams, count = self.layout.streams, len(batch.present)
        every = _joined([batch, *(_without(batch, stream, at) for at, stream in enumerate(streams))])
        said = self._said(every)
        middle = said.score.reshape(1 + len(streams), count)
        return PredictionBatch.from_quantiles(
            said.probability[:count],
            said.quantiles[:count] * self.scaling.scale + self.scaling.mean,
            contributions=_shares(np.abs(middle[1:] - middle[0]).T, batch),
        )

    def _said(self, batch: Batch) -> PredictionBatch:
        return mix([member(self.layout, batch) for member in self.members.values()], self.weights)


def load(saved: Saved) -> EnsemblePredictor:
    """Make the members that the card names, with what the file holds of them."""
    from safetensors.numpy import load as tensors

    arrays, card = tensors(saved.weights), saved.card
    inputs = _below(arrays, _INPUTS)
    layout = Layout(from_dict(card["config"]["streams"]), inputs["mean"], inputs["scale"])
    # A member that weighs nothing is kept in the file for its reader, not asked.
    asked = {name: each for name, each in card["members"].items() if any(each["weights"].values())}
    weights = Weights.made([each["weights"] for each in asked.values()])
    members = {name: member_class(name).made(_below(arrays, name)) for name in asked}
    return EnsemblePredictor(layout, members, weights, Scaling(**card["target"]))


def to_bytes(layout: Layout, members: Mapping[str, Tensors]) -> bytes:
    """The file of an ensemble: the arrays of each member by its name, and the statistics of the inputs."""
    from safetensors.numpy import save

    groups: dict[str, Tensors] = {_INPUTS: {"mean": layout.mean, "scale": layout.scale}, **members}
    named = {f"{group}.{name}": array for group, arrays in groups.items() for name, array in arrays.items()}
    saved: bytes = save({name: np.ascontiguousarray(array) for name, array in named.items()})
    return saved


def _below(arrays: Mapping[str, Any], group: str) -> Tensors:
    return {name.removeprefix(f"{group}."): array for name, array in arrays.items() if name.startswith(f"{group}.")}


def _joined(batches: Sequence[Batch]) -> Batch:
    vectors = {name: np.concatenate([each.vectors[name] for each in batches]) for name in batches[0].vectors}
    return Batch(vectors, np.concatenate([each.present for each in batches]))


def _without(batch: Batch, stream: Stream, at: int) -> Batch:
    present = batch.present.copy()
    present[:, at] = False
    return Batch({**batch.vectors, stream.name: np.zeros_like(batch.vectors[stream.name])}, present)


def _shares(moves: Floats, batch: Batch) -> Floats:
    """Moves (N, streams) as shares of those that are there; of a post that nothing moves, all the same."""
    there = moves * batch.present
    total = there.sum(axis=1, keepdims=True)
    even = batch.present / batch.present.sum(axis=1, keepdims=True)
    return np.where(total > 0, there / np.where(total > 0, total, 1), even)
