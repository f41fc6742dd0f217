"""What a label definition is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from viral.labels.columns import Array, Columns

Fitted = dict[str, float]
"""What a definition learnt from the training rows, by name."""


def nothing(_: Columns) -> Fitted:
    """For definitions that learn nothing."""
    return {}


@dataclass(frozen=True)
class Definition:
    """How counts become a target.

    Attributes:
        name: what users call it.
        needs: the columns without which a post has no target; a post that lacks one is dropped.
        target: columns (N,) and what was learnt → target (N,), NaN where it is not defined.
        undefined: the reason to drop a post whose target is NaN though it has all that is needed.
        learn: columns of the training rows that have all that is needed → what is learnt. May raise TableError.
        log_scale: whether the target is the logarithm of a count, so that an error may be told as a share of it.
    """

    name: str
    needs: tuple[str, ...]
    target: Callable[[Columns, Fitted], Array]
    undefined: str = "undefined"
    learn: Callable[[Columns], Fitted] = nothing
    log_scale: bool = False
