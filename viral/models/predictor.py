"""What a scorer asks of any model, and the kinds of models there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch
from viral.errors import TableError
from viral.registry.registry import Saved

Floats = npt.NDArray[np.float64]

KINDS: Mapping[str, str] = {
    "network": "viral.models.network_predictor:load",
    "ensemble": "viral.models.ensemble.predictor:load",
    "stacked": "viral.models.stacked:load",
}
"""`module:function` that makes a predictor of a saved model, by the `kind` in its card."""


@dataclass(frozen=True)
class Said:
    """What a model says of N posts.

    `probability` (N,) of being viral; `quantiles` (N, 3) of the label, in its units, never crossing; `shares`
    (N, streams) of each stream in the prediction, each row summing to one, zero where a stream is absent; `rates`
    (N, 3) log rates of likes, comments and shares, or None where the model knows none; `percentile` (N,) among the
    reference posts, which a calibrated scorer adds.
    """

    probability: Floats
    quantiles: Floats
    shares: Floats
    rates: Floats | None = None
    percentile: Floats | None = None


class Predictor(Protocol):
    """A model in memory: the vectors of posts in, what it says of them out. Every post has at least one stream.

    What it says of a post may depend on the number of rows it is called with in the last digits, as matrix products
    do: the scorer always calls with the same number.
    """

    def __call__(self, batch: Batch) -> Said:
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
