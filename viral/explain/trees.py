"""Which columns the trees of a model go by: TreeSHAP, for those of its members that are trees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch
from viral.models.ensemble.predictor import EnsemblePredictor
from viral.models.ensemble.trees import Boosting, Forest
from viral.models.predictor import Predictor
from viral.models.stacked import StackedPredictor
from viral.scoring.scorer import Scorer

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TreeValues:
    """Of one post: what columns add to the part of the score that trees decide, in the units of the label.

    The values sum to that part less `of_all`, what the trees say on average. `weight` is the trees' share of the score.
    Columns without a meaning of their own (of an embedding, say) are summed under the name of their extractor.
    """

    values: dict[str, float]
    of_all: float
    weight: float


def tree_values(scorer: Scorer, batch: Batch) -> list[TreeValues]:
    """The values of each post; none where no member of the model is a tree. Largest first, up or down."""
    found = list(_trees(scorer.predictor, batch, 1.0))
    if not found:
        return []
    named: dict[str, Floats] = {}
    for trees, weight in found:
        for name, column in _named(scorer, trees, batch).items():
            named[name] = named.get(name, np.zeros(len(column))) + weight * column
    of_all, weight = named.pop(_ALL), sum(weight for _, weight in found)
    rows = [{name: float(column[row]) for name, column in named.items()} for row in range(len(batch.present))]
    sorted_rows = [dict(sorted(each.items(), key=lambda pair: -abs(pair[1]))) for each in rows]
    return [TreeValues(each, float(of_all[row]), weight) for row, each in enumerate(sorted_rows)]


_ALL = ""
Trees = tuple[EnsemblePredictor, Boosting | Forest]


def _trees(predictor: Predictor, batch: Batch, share: float) -> Iterator[tuple[Trees, float]]:
    """The members that are trees, each with its weight in the score."""
    if isinstance(predictor, StackedPredictor):
        for at, part in enumerate(predictor.parts):
            yield from _trees(part.predictor, batch, share * float(predictor.weights.score[at]))
    if isinstance(predictor, EnsemblePredictor):
        for at, member in enumerate(predictor.members.values()):
            weight = share * float(predictor.weights.score[at])
            if isinstance(member, Boosting | Forest) and weight > 0:
                yield (predictor, member), weight


def _named(scorer: Scorer, trees: Trees, batch: Batch) -> dict[str, Floats]:
    """What each named column adds, (N,), and under no name what all posts share."""
    ensemble, member = trees
    layout, names = ensemble.layout, {spec.name: spec.columns for spec in scorer.feature_set.specs}
    added = member.contributions(layout, batch) * ensemble.scaling.scale
    places = [layout.streams.index(stream) for stream in layout.columns]
    firsts = np.cumsum([0, *(stream.dim for stream in layout.streams)])
    found: dict[str, Floats] = {_ALL: added[:, -1] + ensemble.scaling.mean}
    for column in range(added.shape[1] - 1):
        # After the vectors' columns comes one a stream that says whether it is there.
        at = places[column] if column < len(places) else column - len(places)
        stream, within = layout.streams[at].name, column - int(firsts[at])
        known = names.get(stream, ())
        name = f"{stream} {known[within]}" if column < len(places) and within < len(known) else stream
        found[name] = found.get(name, np.zeros(len(added))) + added[:, column]
    return found
