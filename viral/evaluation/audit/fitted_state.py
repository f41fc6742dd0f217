"""What a saved model stores of the posts that it was fitted on: means and scales, and the posts of its neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Stream, dense, from_dict
from viral.models.train_config import Scaling
from viral.registry.registry import ModelVersion

Floats = npt.NDArray[np.float64]
Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class FittedState:
    """The fitted state of a model, or of one model of a stack.

    Attributes:
        name: of the model.
        card: stored beside its weights.
        streams: its inputs.
        absent: names of offered inputs that no training post had.
        target: mean and scale of the label.
        means: by stream, (dim,); empty if the inputs are not standardised.
        scales: standard deviations, as `means`.
        scores: standardised targets of the posts that a nearest-neighbour member stores, (R,); None without one.
    """

    name: str
    card: Mapping[str, Any]
    streams: tuple[Stream, ...]
    absent: tuple[str, ...]
    target: Scaling
    means: Mapping[str, Floats]
    scales: Mapping[str, Floats]
    scores: Floats | None = None


def fitted_states(saved: ModelVersion) -> tuple[FittedState, ...]:
    """Return the fitted state of a saved model of any kind; of a stack, one per model."""
    from safetensors.numpy import load

    return tuple(_states(str(saved), saved.card, load(saved.weights)))


def _states(name: str, card: Mapping[str, Any], tensors: Tensors) -> list[FittedState]:
    if card["kind"] == "stacked":
        return [
            state
            for index, member in enumerate(card["members"])
            for state in _states(
                f"{member['name']}/{member['version']}", member["card"], _with_prefix(tensors, str(index))
            )
        ]
    streams = from_dict(card["config"]["streams"])
    means, scales = (_statistics(streams, tensors, name) for name in ("mean", "scale"))
    absent, target, scores = tuple(card.get("absent", ())), Scaling(**card["target"]), tensors.get("knn.score")
    return [FittedState(name, card, streams, absent, target, means, scales, scores)]


def _statistics(streams: tuple[Stream, ...], tensors: Tensors, statistic: str) -> dict[str, Floats]:
    """Return a statistic by stream. A network stores it per stream, an ensemble concatenated."""
    if f"inputs.{statistic}" in tensors:
        numbers = dense(streams)
        pieces = np.split(tensors[f"inputs.{statistic}"], np.cumsum([stream.dim for stream in numbers])[:-1])
        return {stream.name: piece.astype(np.float64) for stream, piece in zip(numbers, pieces, strict=True)}
    # Networks trained on videos have no such statistics: their heads take the vectors as they are.
    arrays = {stream.name: tensors.get(f"projections.{stream.name}.{statistic}") for stream in streams}
    return {name: array.astype(np.float64) for name, array in arrays.items() if array is not None}


def _with_prefix(tensors: Tensors, group: str) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(f"{group}."): array for name, array in tensors.items() if name.startswith(f"{group}.")}
