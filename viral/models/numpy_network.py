"""Forward pass of gated networks in numpy: several times faster than torch on a few posts, and without its memory.

A matrix product's last bits depend on its number of rows, so every product takes `GROUP` rows, whatever the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch, Stream
from viral.models.fusion_config import (
    ABOVE,
    BELOW,
    FIRST_RATE,
    INPUT_NORM,
    LOGIT,
    LOGITS_PER_UNIT,
    MAX_DEVIATION,
    MEDIAN,
    SCORE_GAIN,
    FusionConfig,
)
from viral.models.numbers import is_numbers
from viral.models.predictions import PredictionBatch

Floats = npt.NDArray[np.float32]

GROUP = 8  # rows per product: one post costs little more than its own row, and 64 posts hardly more than in one product
_LEAST = np.finfo(np.float32).min
_SQRT_HALF = np.float32(0.5**0.5)


class NumpyNetwork:
    """A trained `Fusion` or `WeightedFusion`.

    Args:
        config: its architecture.
        tensors: its weights by name.
        mean: mean of the label in the training split.
        scale: standard deviation of the label in the training split.

    Raises:
        KeyError: a tensor is missing.
    """

    row_multiple = GROUP

    def __init__(self, config: FusionConfig, tensors: Mapping[str, Floats], mean: float, scale: float) -> None:
        self._config, self._mean, self._scale = config, mean, scale
        self._projections = _Projections(config, tensors)
        self._absent = tensors["absent"][:, None]
        self._gate = {name: tensors[name] for name in tensors if name.startswith("gate.")}
        self._head, self._head_bias = tensors["head.weight"].T, tensors["head.bias"]
        self._members = _Members(tensors) if config.members > 1 else None

    def __call__(self, batch: Batch) -> PredictionBatch:
        """Predict for N posts; N is a multiple of `GROUP`."""
        tokens = np.where(batch.present.T[:, :, None], self._projections(batch), self._absent)
        gates = self._gates(tokens, batch.present)
        heads = _product((gates.T[:, :, None] * tokens).sum(axis=0), self._head) + self._head_bias
        if self._members is not None:
            heads += self._members(tokens, gates)
        median = heads[:, MEDIAN]
        # As `fusion.decode_heads`: softplus keeps the ends on their side of the median.
        below, above = (np.logaddexp(np.float32(0), heads[:, end]) for end in (BELOW, ABOVE))
        quantiles = np.stack([median - below, median, median + above], axis=1)
        logit = (heads[:, LOGIT] + np.float32(LOGITS_PER_UNIT) * median).astype(np.float64)
        return PredictionBatch.from_quantiles(
            1 / (1 + np.exp(-logit)),
            quantiles.astype(np.float64) * self._scale + self._mean,
            contributions=gates.astype(np.float64),
            rates=heads[:, FIRST_RATE:].astype(np.float64),
        )

    def _gates(self, tokens: Floats, present: npt.NDArray[np.bool_]) -> Floats:
        """As `Fusion._gates`: weights (N, streams) from tokens (streams, N, width)."""
        if self._config.gates is not None:
            return self._fixed_gates(present)
        if "gate.scores" in self._gate:  # the same for all posts
            scores = np.broadcast_to(np.float32(SCORE_GAIN) * self._gate["gate.scores"], present.shape)
        else:
            flat = np.swapaxes(tokens, 0, 1).reshape(len(present), -1)
            scores = _product(flat, self._gate["gate.weight"].T) + self._gate["gate.bias"]
        scores = np.where(present, scores, np.float32(-np.inf))
        powers = np.exp(scores - scores.max(axis=1, keepdims=True, initial=_LEAST))
        # A sum is 1 or more: the largest power is 1. Rows without any stream, which nobody reads, get zeros.
        return np.asarray(powers / np.maximum(powers.sum(axis=1, keepdims=True), 1))

    def _fixed_gates(self, present: npt.NDArray[np.bool_]) -> Floats:
        assert self._config.gates is not None
        fixed = np.array([self._config.gates[stream.name] for stream in self._config.streams], np.float32)
        weights = fixed * present
        # Where only streams of weight zero are present, they count alike.
        weights = np.where(weights.any(axis=1, keepdims=True), weights, present.astype(np.float32))
        return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny))


class _Members:
    """The mean of what the members of an ensemble add to the heads, as `Fusion._members`."""

    def __init__(self, tensors: Mapping[str, Floats]) -> None:
        self._scales = np.ascontiguousarray(tensors["member_scales"].transpose(1, 0, 2))[:, None]
        heads = tensors["member_heads"]
        # The mean over the members is one product with their heads below each other.
        self._heads = np.ascontiguousarray(heads.reshape(-1, heads.shape[2]) / np.float32(len(heads)))

    def __call__(self, tokens: Floats, gates: Floats) -> Floats:
        """Return (N, OUTPUTS) from tokens (streams, N, width) and gates (N, streams)."""
        scaled = _gelu(tokens[:, :, None] * self._scales)
        fused = (gates.T[:, :, None, None] * scaled).sum(axis=0)
        return _product(fused.reshape(len(fused), -1), self._heads)


class _Projections:
    """The projections of all streams; most steps are one operation for all of them."""

    def __init__(self, config: FusionConfig, tensors: Mapping[str, Floats]) -> None:
        streams = config.streams

        def layer(name: str) -> list[Floats]:
            """Return a tensor of each stream's projection."""
            return [tensors[f"projections.{stream.name}.{name}"] for stream in streams]

        self._names = [stream.name for stream in streams]
        self._inputs = [_Inputs.of(stream, config, tensors) for stream in streams]
        gains = [np.float32(INPUT_NORM / inputs.width**0.5) for inputs in self._inputs]
        weights = zip(gains, layer("linear.weight"), strict=True)
        self._first = [np.ascontiguousarray(gain * weight.T) for gain, weight in weights]
        self._first_bias = np.stack(layer("linear.bias"))[:, None]
        self._second = np.ascontiguousarray(np.stack(layer("more.2.weight")).transpose(0, 2, 1))[:, None]
        self._second_bias = np.stack(layer("more.2.bias"))[:, None]

    def __call__(self, batch: Batch) -> Floats:
        """Project N posts to tokens (streams, N, width), as `Projection.forward`."""
        parts = zip(self._names, self._inputs, self._first, strict=True)
        linear = np.stack([_product(inputs(batch.vectors[name]), weight) for name, inputs, weight in parts])
        linear += self._first_bias
        active = _gelu(linear)
        more = np.matmul(active.reshape(len(linear), -1, GROUP, linear.shape[2]), self._second).reshape(linear.shape)
        more += self._second_bias
        more += linear
        return np.asarray(more)


@dataclass(frozen=True)
class _Inputs:
    """What the first layer sees of a stream: standardised values, or encoded numbers (`NumbersProjection`)."""

    width: int
    shift: Floats
    factor: Floats
    encoded: bool

    @classmethod
    def of(cls, stream: Stream, config: FusionConfig, tensors: Mapping[str, Floats]) -> _Inputs:
        """Read them from the weights."""
        prefix = f"projections.{stream.name}."
        if config.bins and is_numbers(stream):
            lower, bin_widths = tensors[f"{prefix}edges"][:, :-1], tensors[f"{prefix}widths"]
            return cls(stream.dim * config.bins, lower, bin_widths, encoded=True)
        return cls(
            stream.dim, tensors[f"{prefix}mean"], np.asarray(1 / tensors[f"{prefix}scale"], np.float32), encoded=False
        )

    def __call__(self, vectors: Floats) -> Floats:
        """Map (N, dim) to (N, width)."""
        if self.encoded:
            reach = np.clip((vectors[:, :, None] - self.shift) / self.factor, 0, 1)
            return np.asarray(2 * reach - 1).reshape(len(vectors), -1)
        with np.errstate(over="ignore"):  # what becomes infinite is clipped like any outlier
            return np.asarray(np.clip((vectors - self.shift) * self.factor, -MAX_DEVIATION, MAX_DEVIATION))


def _product(rows: Floats, weight: Floats) -> Floats:
    """Multiply rows (N, inputs) by a weight (inputs, outputs), `GROUP` rows at a time."""
    return np.asarray(np.matmul(rows.reshape(-1, GROUP, rows.shape[1]), weight)).reshape(len(rows), -1)


def _gelu(values: Floats) -> Floats:
    from scipy.special import erf

    return np.asarray(np.float32(0.5) * values * (1 + erf(values * _SQRT_HALF)))
