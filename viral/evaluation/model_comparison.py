"""Compare two models on the same test posts, with paired intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from viral.errors import TableError
from viral.evaluation.bootstrap import metrics
from viral.evaluation.bootstrap.by_author import AuthorBootstrap, Estimate, Replicates, subtract
from viral.evaluation.bootstrap.replicates import replicates
from viral.evaluation.bootstrap.settings import EvaluationSettings
from viral.evaluation.labels import Labels
from viral.models.predictions import PredictionBatch

Columns = Mapping[str, npt.NDArray[Any]]

# Classification, regression and interval metrics, in this order.
COMPARED_METRICS = ("roc_auc", "pr_auc", "brier", "ece", "spearman", "rmse", "mae", "coverage", "width", "pinball")
# Metrics that can decide which model is better: neither coverage nor width can without the other.
DECISIVE_METRICS = tuple(name for name in COMPARED_METRICS if name not in ("coverage", "width"))
_CLASSIFICATION, _REGRESSION, _INTERVALS = COMPARED_METRICS[:4], COMPARED_METRICS[4:7], COMPARED_METRICS[7:]


@dataclass(frozen=True)
class MetricPair:
    """One metric of two models, and their difference (first minus second) with its paired interval."""

    one: float | None
    other: float | None
    difference: Estimate


@dataclass(frozen=True)
class Comparison:
    """Two models on their common test posts; the field names are keys of the stored changelog.

    Attributes:
        posts: number of common test posts.
        authors: number of authors of these posts.
        only_one: number of test posts of the first model only, left out.
        only_other: number of test posts of the second model only, left out.
        figures: each metric of both models.
    """

    posts: int
    authors: int
    only_one: int
    only_other: int
    figures: dict[str, MetricPair]


def compare(
    first: pa.Table,
    second: pa.Table,
    *,
    names: tuple[str, ...] = COMPARED_METRICS,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two models by their rows of `viral.tables.schemas.TEST_PREDICTIONS`, with 90 % intervals by author.

    Args:
        first: test predictions of the first model.
        second: test predictions of the second model.
        names: metrics of `COMPARED_METRICS` to compute.
        resamples: number of bootstrap draws.
        seed: seed of the bootstrap.

    Raises:
        TableError: no common post, or a post whose labels differ.
    """
    shared = _shared(first, second)
    columns = [{name: rows[name].to_numpy() for name in rows.column_names} for rows in shared]
    labels = Labels(*(columns[0][name] for name in ("post_id", "author", "target", "is_viral")))
    models = {
        str(i): PredictionBatch(*(model[name] for name in ("probability", "score", "low", "high")))
        for i, model in enumerate(columns)
    }
    values = [_metrics(labels, model, names) for model in models.values()]
    bootstrap = AuthorBootstrap(labels.authors, resamples, seed)
    settings = EvaluationSettings(
        threshold=0.5, level=bootstrap.level, k=max(1, round(len(labels.y) / 10)), resamples=resamples, seed=seed
    )
    # Without rows for Kendall and pairwise accuracy, which are not compared.
    resampled = list(replicates(bootstrap, labels, models, settings, np.zeros(0, np.int64)).values())
    posts, pairs = shared[0].num_rows, _pairs(names, bootstrap, values, resampled)
    return Comparison(posts, len(np.unique(labels.authors)), first.num_rows - posts, second.num_rows - posts, pairs)


def _pairs(
    names: tuple[str, ...],
    bootstrap: AuthorBootstrap,
    values: Sequence[metrics.Metrics],
    resampled: Sequence[Replicates],
) -> dict[str, MetricPair]:
    """Pair each metric of both models with their difference."""
    pairs = {}
    for name in names:
        one, other = values[0][name], values[1][name]
        # Both models in the same draws: the difference varies far less than either of them.
        difference = bootstrap.estimate(subtract(one, other), resampled[0][name] - resampled[1][name])
        pairs[name] = MetricPair(one, other, difference)
    return pairs


def _shared(first: pa.Table, second: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows of the posts in both tables, in the order of the first."""
    import pyarrow.compute as pc

    index = pc.index_in(first["post_id"], value_set=second["post_id"].combine_chunks())
    first, second = first.filter(pc.is_valid(index)), second.take(pc.drop_null(index))
    if not first.num_rows:
        raise TableError("the two models have no test post in common: evaluate both again on the same label table")
    for name in ("target", "is_viral"):
        if changed := pc.sum(pc.not_equal(first[name], second[name])).as_py():
            raise TableError(f"{name} of {changed} test posts differs between the two models: evaluate both again")
    return first, second


def _metrics(labels: Labels, model: PredictionBatch, names: tuple[str, ...]) -> metrics.Metrics:
    """Compute only the kinds of metrics that `names` needs."""
    assert model.low is not None and model.high is not None, "stored test predictions have intervals"
    values: metrics.Metrics = {}
    if set(names) & set(_CLASSIFICATION):
        values |= metrics.classification(labels.is_viral, model.probability)
    if set(names) & set(_REGRESSION):
        values |= metrics.regression(labels.y, model.score)
    if set(names) & set(_INTERVALS):
        values |= metrics.intervals(labels.y, model.low, model.high)
    return values
