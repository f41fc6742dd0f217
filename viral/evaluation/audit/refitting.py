"""Refit the constants of a label on the training posts of its table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.labels import FittedLabel, fit
from viral.labels.definition import no_parameters
from viral.labels.registry import definition


@dataclass(frozen=True)
class LabelFit:
    """Label constants by name: as stored, and as refitted on the training posts."""

    stored: Mapping[str, float]
    refitted: Mapping[str, float]


def needs_posts(stored: Mapping[str, Any]) -> bool:
    """Whether a label (from `FittedLabel.to_dict`) has constants that cannot be refitted from its targets alone."""
    return bool(stored["within"]) or definition(stored["definition"]).fit is not no_parameters


def refit_label(stored: Mapping[str, Any], labels: pa.Table, posts: pa.Table | None = None) -> LabelFit | None:
    """Refit a label on its training posts.

    Args:
        stored: the label, from `FittedLabel.to_dict`.
        labels: its whole table: `post_id`, `split`, `target`.
        posts: all posts, with the columns that the definition needs; only if `needs_posts`.

    Returns:
        None if the posts have changed since they were labelled, so that the constants cannot be compared.
    """
    constants = _constants(stored)
    train = labels["split"].to_numpy() == "train"
    # The threshold is a quantile of the targets, which the label table has.
    if posts is None:
        targets = labels["target"].to_numpy()[train]
        if not len(targets):
            return None
        return LabelFit(constants, {"threshold": float(np.quantile(targets, 1 - stored["top_fraction"]))})
    fitted = FittedLabel.from_dict(stored)
    if not _unchanged(fitted, labels, posts):
        return None
    # All posts are given, since a definition may compare a post with others; only training posts are fitted on.
    rows = pc.is_in(posts["post_id"], labels["post_id"].filter(pa.array(train)).combine_chunks())
    refitted = fit(fitted.spec, posts, np.asarray(rows, dtype=bool))
    return LabelFit(constants, _constants(refitted.to_dict()))


def _unchanged(fitted: FittedLabel, labels: pa.Table, posts: pa.Table) -> bool:
    """Whether these posts, labelled with the stored constants, have the targets of the table."""
    applied = fitted.apply(posts)
    index = pc.index_in(labels["post_id"], posts["post_id"].filter(pa.array(applied.mask)).combine_chunks())
    if index.null_count:
        return False
    targets: npt.NDArray[np.float64] = applied.target[index.to_numpy()]
    return bool(np.allclose(targets, labels["target"].to_numpy(), rtol=1e-9, atol=0))


def _constants(stored: Mapping[str, Any]) -> dict[str, float]:
    return {"threshold": stored["threshold"], **stored["fitted"], **stored["bin_thresholds"]}
