"""What a saved model keeps of the posts that it was fitted on: means and scales, and whole posts as neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Stream, from_dict
from viral.models.train_config import Scaling
from viral.registry.registry import Saved

Floats = npt.NDArray[np.float64]
Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Learnt:
    """One model, or one of those that a stack is made of.

    Attributes:
        name: of the model.
        card: what was saved beside its weights.
        streams: its inputs.
        absent: the names of inputs that it was offered, and that no training post had.
        target: the mean and scale of the label.
        means: by stream, (dim,); empty where the inputs are not standardised.
        scales: the same.
        scores: of the posts that it keeps as neighbours, (posts,), in units of `target`; None: it keeps none.
    """

    name: str
    card: Mapping[str, Any]
    streams: tuple[Stream, ...]
    absent: tuple[str, ...]
    target: Scaling
    means: Mapping[str, Floats]
    scales: Mapping[str, Floats]
    scores: Floats | None = None


def learnt_of(saved: Saved) -> tuple[Learnt, ...]:
    """What is kept in a saved model, of whatever kind; of a stack, in each of its models."""
    from safetensors.numpy import load

    return tuple(_each(str(saved), saved.card, load(saved.weights)))


def _each(name: str, card: Mapping[str, Any], tensors: Tensors) -> list[Learnt]:
    if card["kind"] == "stacked":
        members = enumerate(card["members"])
        return [
            each
            for at, one in members
            for each in _each(f"{one['name']}/{one['version']}", one["card"], _below(tensors, str(at)))
        ]
    streams = from_dict(card["config"]["streams"])
    means, scales = (_statistics(streams, tensors, which) for which in ("mean", "scale"))
    scores = tensors.get("knn.score")
    return [
        Learnt(name, card, streams, tuple(card.get("absent", ())), Scaling(**card["target"]), means, scales, scores)
    ]


def _statistics(streams: tuple[Stream, ...], tensors: Tensors, which: str) -> dict[str, Floats]:
    """By stream: a network has them stream by stream, an ensemble side by side."""
    if f"inputs.{which}" in tensors:
        ends = np.cumsum([stream.dim for stream in streams])[:-1]
        pieces = np.split(tensors[f"inputs.{which}"], ends)
        return {stream.name: piece.astype(np.float64) for stream, piece in zip(streams, pieces, strict=True)}
    named = {stream.name: tensors.get(f"projections.{stream.name}.{which}") for stream in streams}
    return {name: each.astype(np.float64) for name, each in named.items() if each is not None}


def _below(tensors: Tensors, group: str) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(f"{group}."): each for name, each in tensors.items() if name.startswith(f"{group}.")}
