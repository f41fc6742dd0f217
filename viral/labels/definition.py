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
        required: columns of which a post needs all; a post that lacks one is dropped.
        target: columns (N,), parameters → target (N,), NaN where it is undefined.
        undefined_reason: the reason for dropping a post with all required columns whose target is NaN.
        fit: columns of the training rows with all required values → parameters. May raise TableError.
        log_scale: whether the target is the logarithm of a count, so that relative errors can be reported.
    """

    name: str
    required: tuple[str, ...]
    target: Callable[[Columns, Parameters], Array]
    undefined_reason: str = "undefined"
    fit: Callable[[Columns], Parameters] = no_parameters
    log_scale: bool = False
