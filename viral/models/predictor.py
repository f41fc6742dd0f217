"""Interface of loaded models, and the kinds of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Protocol

from viral.datasets.streams import Batch
from viral.errors import TableError
from viral.models.predictions import PredictionBatch
from viral.registry.registry import ModelVersion

KINDS: Mapping[str, str] = {
    "network": "viral.models.network_predictor:load",
    "ensemble": "viral.models.ensemble.predictor:load",
    "stacked": "viral.models.stacked:load",
}
"""`module:function` that loads a model, by the `kind` in its card."""


class Predictor(Protocol):
    """A loaded model. Each post must have at least one stream.

    Matrix products may round differently for other batch sizes, so `Scorer` always passes the same number of rows.
    """

    def __call__(self, batch: Batch) -> PredictionBatch:
        """Predict; sets all fields but `percentile`, and `rates` only if the model learns them."""


def load(model: ModelVersion) -> Predictor:
    """Load a saved model of any kind.

    Raises:
        TableError: this version of viral does not know the kind.
    """
    kind = model.card["kind"]
    if kind not in KINDS:
        raise TableError(f"model {model} is of the kind {kind}: this version of viral knows {', '.join(KINDS)}")
    module, _, attribute = KINDS[kind].partition(":")
    loader: Callable[[ModelVersion], Predictor] = getattr(import_module(module), attribute)
    return loader(model)
