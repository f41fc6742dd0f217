"""Two models on the same test posts: how much they differ, and how far that could be off."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from viral.errors import TableError
from viral.evaluation.bootstrap import metrics
from viral.evaluation.bootstrap.by_author import AuthorBootstrap, Estimate, Replicates
from viral.evaluation.bootstrap.replicates import replicates
from viral.evaluation.bootstrap.settings import Settings
from viral.evaluation.bootstrap.system import Judged, Outcome

Rows = npt.NDArray[np.int64]
Columns = Mapping[str, npt.NDArray[Any]]

COMPARED = ("roc_auc", "pr_auc", "brier", "ece", "spearman", "rmse", "mae", "coverage", "width", "pinball")
"""The figures that models are compared by, each from one of `_GROUPS`."""

JUDGING = tuple(name for name in COMPARED if name not in ("coverage", "width"))
"""Those of them that a model can be better by: neither of the other two says anything without the other."""

_CLASSES, _SCORES, _RANGES = COMPARED[:4], COMPARED[4:7], COMPARED[7:]


@dataclass(frozen=True)
class Pair:
    """One figure of two models, and how much higher it is for the first, with its paired interval."""

    one: float | None
    other: float | None
    difference: Estimate


@dataclass(frozen=True)
class Comparison:
    """Two models on the `posts` by `authors` that both were tested on; `only_one` and `only_other` were left out."""

    posts: int
    authors: int
    only_one: int
    only_other: int
    figures: dict[str, Pair]


def compare(
    one: pa.Table, other: pa.Table, *, names: tuple[str, ...] = COMPARED, resamples: int = 1000, seed: int = 0
) -> Comparison:
    """Compare two models by rows of `viral.tables.schemas.TESTED`, by post, with 90 % intervals by authors.

    Args:
        one: what the first model said.
        other: what the second said.
        names: figures of `COMPARED`.
        resamples: draws of the bootstrap.
        seed: of the bootstrap.

    Raises:
        TableError: no post is in both, or what became of one differs.
    """
    first, second = _common(one, other)
    columns = [_columns(first), _columns(second)]
    authors = columns[0]["author"]
    bootstrap = AuthorBootstrap(authors, resamples, seed)
    measures = [_measure(each, names) for each in columns]
    values = [measure(np.arange(len(authors))) for measure in measures]
    drawn = _drawn(bootstrap, columns)
    figures = {
        name: Pair(
            values[0][name],
            values[1][name],
            bootstrap.estimate(_gap(values[0][name], values[1][name]), drawn[0][name] - drawn[1][name]),
        )
        for name in names
    }
    left = one.num_rows - first.num_rows, other.num_rows - first.num_rows
    return Comparison(first.num_rows, len(np.unique(authors)), *left, figures)


def _drawn(bootstrap: AuthorBootstrap, columns: Sequence[Columns]) -> list[Replicates]:
    """The figures of both models in the same draws of authors."""
    outcome = Outcome(columns[0]["target"], columns[0]["is_viral"])
    settings = Settings(
        threshold=0.5,
        level=bootstrap.level,
        k=max(1, round(len(outcome.y) / 10)),
        resamples=bootstrap.resamples,
        seed=bootstrap.seed,
        compared_posts=0,
        compared_authors=0,
    )
    said = {
        str(at): Judged(each["probability"], each["score"], each["low"], each["high"])
        for at, each in enumerate(columns)
    }
    found = replicates(bootstrap, outcome, said, settings, np.zeros(0, np.int64))
    return [found[name] for name in said]


def _common(one: pa.Table, other: pa.Table) -> tuple[pa.Table, pa.Table]:
    import pyarrow.compute as pc

    place = pc.index_in(one["post_id"], value_set=other["post_id"].combine_chunks())
    first, second = one.filter(pc.is_valid(place)), other.take(pc.drop_null(place))
    if not first.num_rows:
        raise TableError("no post is a test post of both: they were evaluated on different tables; evaluate both anew")
    for name in ("target", "is_viral"):
        if changed := pc.sum(pc.not_equal(first[name], second[name])).as_py():
            raise TableError(f"{name} of {changed} test posts is not the same for both: evaluate both anew")
    return first, second


def _columns(rows: pa.Table) -> Columns:
    return {name: rows[name].to_numpy() for name in rows.column_names if name != "post_id"}


def _measure(columns: Columns, names: tuple[str, ...]) -> Callable[[Rows], metrics.Figures]:
    """The named figures of one model as a function of rows; groups of which none is asked for are not computed."""

    def measure(rows: Rows) -> metrics.Figures:
        drawn = {name: column[rows] for name, column in columns.items()}
        figures: metrics.Figures = {}
        if set(names) & set(_CLASSES):
            figures |= metrics.classification(drawn["is_viral"], drawn["probability"])
        if set(names) & set(_SCORES):
            figures |= metrics.regression(drawn["target"], drawn["score"])
        if set(names) & set(_RANGES):
            figures |= metrics.intervals(drawn["target"], drawn["low"], drawn["high"])
        return {name: figures[name] for name in names}

    return measure


def _gap(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
