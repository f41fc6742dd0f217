"""What a scorer asks of any model, and the kinds of models there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Protocol

from viral.datasets.streams import Batch
from viral.errors import TableError
from viral.models.predictions import PredictionBatch
from viral.registry.registry import Saved

KINDS: Mapping[str, str] = {
    "network": "viral.models.network_predictor:load",
    "ensemble": "viral.models.ensemble.predictor:load",
    "stacked": "viral.models.stacked:load",
}
"""`module:function` that makes a predictor of a saved model, by the `kind` in its card."""


class Predictor(Protocol):
    """A model in memory: the vectors of posts in, what it says of them out. Every post has at least one stream.

    What it says of a post may depend on the number of rows it is called with in the last digits, as matrix products
    do: the scorer always calls with the same number.
    """

    def __call__(self, batch: Batch) -> PredictionBatch:
        """Predict."""


def load(saved: Saved) -> Predictor:
    """The predictor of a saved model.

    Raises:
        TableError: it is of a kind that this version does not know.
    """
    kind = saved.card["kind"]
    if kind not in KINDS:
        raise TableError(f"model {saved} is of the kind {kind}: this version of viral knows {', '.join(KINDS)}")
    module, _, attribute = KINDS[kind].partition(":")
    made: Callable[[Saved], Predictor] = getattr(import_module(module), attribute)
    return made(saved)
