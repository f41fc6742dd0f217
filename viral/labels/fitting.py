"""Fits a label on the training rows and applies it to any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from viral.errors import TableError
from viral.labels.bins import keys
from viral.labels.columns import Array, Columns, columns
from viral.labels.definition import Definition, Fitted
from viral.labels.registry import definition
from viral.labels.spec import LabelSpec
from viral.labels.threshold import Threshold, fit_threshold

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Labelled:
    """The labels of N posts, K of which have what the label needs.

    Attributes:
        mask: bool (N,), which posts have a label.
        target: float64 (K,), finite.
        is_viral: bool (K,).
        dropped: how many of the other N - K posts lack what; a post counts once, by the first thing that it lacks.
    """

    mask: Mask
    target: Array
    is_viral: Mask
    dropped: dict[str, int]


@dataclass(frozen=True)
class FittedLabel:
    """A label with what it learnt from the training rows."""

    spec: LabelSpec
    fitted: Fitted
    threshold: Threshold

    def apply(self, posts: pa.Table) -> Labelled:
        """Labels posts; give the whole table, since `over_author` looks at an author's earlier posts in it.

        Args:
            posts: a table with the columns of `tables.POSTS`.
        """
        there = columns(posts)
        one = definition(self.spec.definition)
        target = one.target(there, self.fitted)
        mask = np.isfinite(target)
        kept = _rows(there, mask)
        viral = self.threshold.above(target[mask], _bins(kept, self.spec))
        return Labelled(mask, target[mask], viral, _dropped(one, there, mask))

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain JSON."""
        return {
            "definition": self.spec.definition,
            "top_fraction": self.spec.top_fraction,
            "within": list(self.spec.within),
            "fitted": dict(self.fitted),
            "threshold": self.threshold.overall,
            "bin_thresholds": dict(self.threshold.bins),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> FittedLabel:
        """What `to_dict` gave. Raises ConfigError where its definition does not exist (any more)."""
        spec = LabelSpec(stored["definition"], stored["top_fraction"], tuple(stored["within"]))
        return cls(spec, dict(stored["fitted"]), Threshold(stored["threshold"], dict(stored["bin_thresholds"])))


def fit(spec: LabelSpec, posts: pa.Table, train: Mask) -> FittedLabel:
    """Learns a label from the training rows.

    Args:
        spec: the label.
        posts: a table with the columns of `tables.POSTS`, all splits.
        train: bool (N,), which rows may be learnt from.

    Raises:
        TableError: no training row has what the label needs, or the label cannot be learnt from them.
        ValueError: `train` is not of the table's length.
    """
    if train.shape != (posts.num_rows,):
        raise ValueError(f"train has shape {train.shape}, the table {posts.num_rows} rows")
    one, there = definition(spec.definition), columns(posts)
    complete = train & ~_lacking(one, there)
    if not complete.any():
        raise TableError(_nothing_to_learn_from(one, there, train))
    fitted = one.learn(_rows(there, complete))
    target = one.target(there, fitted)
    usable = complete & np.isfinite(target)
    if not usable.any():
        raise TableError(f"label {one.name} drops all {int(train.sum())} training posts: {one.undefined}")
    return FittedLabel(
        spec, fitted, fit_threshold(target[usable], _bins(_rows(there, usable), spec), spec.top_fraction)
    )


def _bins(there: Columns, spec: LabelSpec) -> list[str] | None:
    return keys(there, spec.within) if spec.within else None


def _rows(there: Columns, mask: Mask) -> dict[str, Array]:
    return {name: values[mask] for name, values in there.items()}


def _lacking(one: Definition, there: Columns) -> Mask:
    lacking: Mask = np.logical_or.reduce([np.isnan(there[name]) for name in one.needs], axis=0)
    return lacking


def _dropped(one: Definition, there: Columns, mask: Mask) -> dict[str, int]:
    left, counts = ~mask, {}
    for name in one.needs:
        lacks = left & np.isnan(there[name])
        counts[f"no_{name}"] = int(lacks.sum())
        left &= ~lacks
    counts[one.undefined] = int(left.sum())
    return {reason: count for reason, count in counts.items() if count}


def _nothing_to_learn_from(one: Definition, there: Columns, train: Mask) -> str:
    if not train.any():
        return f"label {one.name} cannot be fitted: there are no training posts"
    empty = [name for name in one.needs if np.isnan(there[name][train]).all()]
    lacks = f"no training post has {' or '.join(empty)}" if empty else "no training post has all of these"
    return f"label {one.name} needs {', '.join(one.needs)}, but {lacks}; choose another label"
