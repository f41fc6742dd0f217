"""The interface of a label definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from viral.labels.columns import Array, Columns

Parameters = dict[str, float]
"""Parameters of a definition, fitted on the training rows."""


def no_parameters(_: Columns) -> Parameters:
    """Fit a definition that has no parameters."""
    return {}


@dataclass(frozen=True)
class Definition:
    """Computes a target from the counts of posts.

    Attributes:
        name: the name on the command line and in label tables.
        required: columns that a label needs; a post with a missing value in one is dropped.
        target: computes the target (N,), NaN where it is undefined, from columns (N,) and parameters.
        undefined_reason: reason for dropping a post whose target is NaN although it has all required values.
        fit: computes the parameters from the training rows that have all required values. May raise TableError.
        log_scale: whether the target is the logarithm of a count, so that relative errors can be reported.
    """

    name: str
    required: tuple[str, ...]
    target: Callable[[Columns, Parameters], Array]
    undefined_reason: str = "undefined"
    fit: Callable[[Columns], Parameters] = no_parameters
    log_scale: bool = False
