"""TreeSHAP: how much each input column moves the tree members of a model."""

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
    """TreeSHAP values of one post.

    Attributes:
        values: contribution of each column to the trees' part of the score, in the units of the label, largest first;
            unnamed columns, such as an embedding's, are summed under the name of their extractor.
        base_value: mean prediction of the trees; the values sum to the trees' part minus it.
        weight: of the trees in the score.
    """

    values: dict[str, float]
    base_value: float
    weight: float


def tree_values(scorer: Scorer, batch: Batch) -> list[TreeValues]:
    """Return the TreeSHAP values of each post; empty if no member of the model is a tree ensemble."""
    weighted = list(_tree_members(scorer.predictor, batch, 1.0))
    if not weighted:
        return []
    totals: dict[str, Floats] = {}
    for trees, weight in weighted:
        for name, column in _named_contributions(scorer, trees, batch).items():
            totals[name] = totals.get(name, np.zeros(len(column))) + weight * column
    # The base value is no column.
    base_values, weight = totals.pop(_BASE), sum(weight for _, weight in weighted)
    rows = [{name: float(column[row]) for name, column in totals.items()} for row in range(len(batch.present))]
    ordered = [dict(sorted(values.items(), key=lambda pair: -abs(pair[1]))) for values in rows]
    return [TreeValues(values, float(base_values[row]), weight) for row, values in enumerate(ordered)]


_BASE = ""
Trees = tuple[EnsemblePredictor, Boosting | Forest]


def _tree_members(predictor: Predictor, batch: Batch, weight: float) -> Iterator[tuple[Trees, float]]:
    """Yield the tree members of a model, with their weights in the score."""
    if isinstance(predictor, StackedPredictor):
        for index, stacked in enumerate(predictor.members):
            # A stack may hold an ensemble: weights multiply down to the trees.
            yield from _tree_members(stacked.predictor, batch, weight * float(predictor.weights.score[index]))
    if isinstance(predictor, EnsemblePredictor):
        for index, member in enumerate(predictor.members.values()):
            share = weight * float(predictor.weights.score[index])
            if isinstance(member, Boosting | Forest) and share > 0:
                yield (predictor, member), share


def _named_contributions(scorer: Scorer, trees: Trees, batch: Batch) -> dict[str, Floats]:
    """Return the contribution of each named column, (N,), and the base value as `_BASE`."""
    ensemble, member = trees
    layout, names = ensemble.layout, {spec.name: spec.columns for spec in scorer.feature_set.specs}
    # Members predict a standardised target: back to the units of the label.
    added = member.contributions(layout, batch) * ensemble.scaling.scale
    stream_of = [layout.dense.index(stream) for stream in layout.columns]
    firsts = np.cumsum([0, *(stream.dim for stream in layout.dense)])
    totals: dict[str, Floats] = {_BASE: added[:, -1] + ensemble.scaling.mean}
    for column in range(added.shape[1] - 1):
        # The columns of the vectors come first, then a presence flag per stream.
        index = stream_of[column] if column < len(stream_of) else column - len(stream_of)
        stream, offset = layout.dense[index].name, column - int(firsts[index])
        columns = names.get(stream, ())
        name = f"{stream} {columns[offset]}" if column < len(stream_of) and offset < len(columns) else stream
        totals[name] = totals.get(name, np.zeros(len(added))) + added[:, column]
    return totals
