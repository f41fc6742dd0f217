"""Piecewise-linear encoding of streams of numbers: each value by how far it reaches into bins at training quantiles.

Raw counts, heavy tails and thresholds are then as easy to learn from as they are for trees. Source: Gorishniy et al.
2022, On embeddings for numerical features in tabular deep learning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Stream

Floats = npt.NDArray[np.float32]

MAX_DIM = 64  # values of a stream that are numbers with a meaning of their own; larger ones are embeddings
_LEAST_WIDTH = 1e-6  # of a bin, in units of the largest value: narrower ones are rounding


def is_numbers(stream: Stream) -> bool:
    """Whether a stream is encoded piecewise linearly."""
    return stream.dim <= MAX_DIM and stream.tokens == 1


def bin_edges(values: Floats, bins: int) -> Floats:
    """Edges (dim, bins + 1) at the quantiles of training values (N, dim); equal ones where values repeat."""
    return np.asarray(np.quantile(values.astype(np.float64), np.linspace(0, 1, bins + 1), axis=0).T, np.float32)


def widths(edges: Floats) -> Floats:
    """Width of each bin (dim, bins); infinite for an empty one, which then says nothing."""
    wide = np.diff(edges, axis=1)
    least = _LEAST_WIDTH * np.maximum(1, np.abs(edges).max(axis=1, keepdims=True))
    return np.asarray(np.where(wide > least, wide, np.inf), np.float32)


def edges_of(
    streams: Sequence[Stream], vectors: Mapping[str, Floats], present: npt.NDArray[np.bool_], bins: int
) -> dict[str, list[list[float]]]:
    """Edges of each stream of numbers that any post has, over the posts that have it."""
    edges: dict[str, list[list[float]]] = {}
    for column, stream in enumerate(streams):
        rows = vectors[stream.name][present[:, column]]
        if is_numbers(stream) and len(rows):
            edges[stream.name] = bin_edges(rows, bins).tolist()
    return edges
