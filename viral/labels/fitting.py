"""Fitting of labels on the training rows, and their application to any posts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from viral.errors import TableError
from viral.labels.bins import bin_keys
from viral.labels.columns import Array, Columns, numeric_columns
from viral.labels.definition import Definition, Parameters
from viral.labels.registry import definition
from viral.labels.spec import LabelSpec
from viral.labels.threshold import Threshold, fit_threshold

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class AppliedLabel:
    """Labels of N posts, K of which have a label.

    Attributes:
        mask: bool (N,), True for the posts with a label.
        target: float64 (K,), finite.
        is_viral: bool (K,).
        dropped: number of posts without a label by reason; each counts once, under the first reason that applies.
    """

    mask: Mask
    target: Array
    is_viral: Mask
    dropped: dict[str, int]


@dataclass(frozen=True)
class FittedLabel:
    """A label with its parameters and thresholds, fitted on the training rows."""

    spec: LabelSpec
    parameters: Parameters
    threshold: Threshold

    def apply(self, posts: pa.Table) -> AppliedLabel:
        """Label posts. Pass the whole table, because `over_author` uses the earlier posts of an author in it.

        Args:
            posts: a table with the columns of `schemas.POSTS`.
        """
        columns, label = numeric_columns(posts), definition(self.spec.definition)
        # NaN where a value is missing or the target undefined: only finite targets are labels.
        target = label.target(columns, self.parameters)
        mask = np.isfinite(target)
        viral = self.threshold.above(target[mask], _bins(_select(columns, mask), self.spec))
        return AppliedLabel(mask, target[mask], viral, _count_dropped(label, columns, mask))

    def to_dict(self) -> dict[str, Any]:
        """Convert to a dict for JSON."""
        return {
            "definition": self.spec.definition,
            "top_fraction": self.spec.top_fraction,
            "within": list(self.spec.within),
            "fitted": dict(self.parameters),
            "threshold": self.threshold.overall,
            "bin_thresholds": dict(self.threshold.bins),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> FittedLabel:
        """Restore from `to_dict`. Raises ConfigError if this version of the code lacks the definition."""
        spec = LabelSpec(stored["definition"], stored["top_fraction"], tuple(stored["within"]))
        return cls(spec, dict(stored["fitted"]), Threshold(stored["threshold"], dict(stored["bin_thresholds"])))


def fit(spec: LabelSpec, posts: pa.Table, train: Mask) -> FittedLabel:
    """Fit a label on the training rows.

    Args:
        spec: the label.
        posts: the posts of all splits, with the columns of `schemas.POSTS`.
        train: bool (N,), the training rows.

    Raises:
        TableError: no training row has the required columns, or the label cannot be fitted on them.
        ValueError: `train` does not have the table's length.
    """
    if train.shape != (posts.num_rows,):
        raise ValueError(f"train has shape {train.shape}, the table {posts.num_rows} rows")
    label, columns = definition(spec.definition), numeric_columns(posts)
    # Parameters come from training rows alone, and among these only from rows that will have a label.
    complete = train & ~np.logical_or.reduce([np.isnan(columns[name]) for name in label.required], axis=0)
    if not complete.any():
        raise TableError(_why_unfittable(label, columns, train))
    parameters = label.fit(_select(columns, complete))
    target = label.target(columns, parameters)
    # A target may be undefined although all its columns have values: a rate without views, for example.
    usable = complete & np.isfinite(target)
    if not usable.any():
        raise TableError(f"label {label.name} drops all {int(train.sum())} training posts: {label.undefined_reason}")
    threshold = fit_threshold(target[usable], _bins(_select(columns, usable), spec), spec.top_fraction)
    return FittedLabel(spec, parameters, threshold)


def _bins(columns: Columns, spec: LabelSpec) -> list[str] | None:
    return bin_keys(columns, spec.within) if spec.within else None


def _select(columns: Columns, mask: Mask) -> dict[str, Array]:
    return {name: values[mask] for name, values in columns.items()}


def _count_dropped(label: Definition, columns: Columns, mask: Mask) -> dict[str, int]:
    # In the order of `required`: a post that lacks several values counts under the first.
    unexplained, counts = ~mask, {}
    for name in label.required:
        missing = unexplained & np.isnan(columns[name])
        counts[f"no_{name}"] = int(missing.sum())
        unexplained &= ~missing
    counts[label.undefined_reason] = int(unexplained.sum())
    return {reason: count for reason, count in counts.items() if count}


def _why_unfittable(label: Definition, columns: Columns, train: Mask) -> str:
    if not train.any():
        return f"label {label.name} cannot be fitted: there are no training posts"
    empty = [name for name in label.required if np.isnan(columns[name][train]).all()]
    problem = f"no training post has {' or '.join(empty)}" if empty else "no training post has all of them"
    return f"label {label.name} needs {', '.join(label.required)}, but {problem}; choose another label"
