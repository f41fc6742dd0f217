"""Interface of loaded models, and the kinds of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Protocol

from viral.datasets.streams import Batch
from viral.errors import TableError
from viral.models.predictions import PredictionBatch
from viral.registry.registry import ModelVersion

BLOCK = 64  # rows per forward pass at most: larger products are hardly faster, and a few posts would cost more
KINDS: Mapping[str, str] = {
    "network": "viral.models.network_predictor:load",
    "ensemble": "viral.models.ensemble.predictor:load",
    "stacked": "viral.models.stacked:load",
}
"""`module:function` that loads a model, by the `kind` in its card."""


class Predictor(Protocol):
    """A loaded model. Each post must have at least one stream.

    Matrix products may round differently for other numbers of rows, so `Scorer` pads what it passes.
    """

    @property
    def row_multiple(self) -> int:
        """A divisor of `BLOCK`: batches of a multiple of it, at most `BLOCK` rows, give each post the same bits."""

    def __call__(self, batch: Batch) -> PredictionBatch:
        """Predict; sets all fields but `percentile`, and `rates` only if the model learns them."""


def load(model: ModelVersion, *, numpy: bool = False) -> Predictor:
    """Load a saved model of any kind.

    Args:
        model: the model.
        numpy: compute a gated network in numpy: several times faster on a few posts, and the same up to rounding.

    Raises:
        TableError: this version of viral does not know the kind.
    """
    kind = model.card["kind"]
    if kind not in KINDS:
        raise TableError(f"model {model} is of the kind {kind}: this version of viral knows {', '.join(KINDS)}")
    module, _, attribute = KINDS[kind].partition(":")
    loader: Callable[..., Predictor] = getattr(import_module(module), attribute)
    return loader(model, numpy=numpy) if kind == "network" else loader(model)
