"""The constants of a label, and the same fitted again on the training posts of its table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.labels import FittedLabel, fit
from viral.labels.definition import nothing
from viral.labels.registry import definition


@dataclass(frozen=True)
class LabelFit:
    """Constants by name, as they were stored, and those that can be fitted again as the training posts give them."""

    stored: Mapping[str, float]
    again: Mapping[str, float]


def needs_posts(stored: Mapping[str, Any]) -> bool:
    """Whether a label (as `FittedLabel.to_dict` wrote it) has constants that its targets alone do not tell."""
    return bool(stored["within"]) or definition(stored["definition"]).learn is not nothing


def refitted(stored: Mapping[str, Any], labels: pa.Table, posts: pa.Table | None = None) -> LabelFit | None:
    """Fit a label again.

    Args:
        stored: the label, as `FittedLabel.to_dict` wrote it.
        labels: its whole table: `post_id`, `split`, `target`.
        posts: all posts, with the columns that the definition needs; only where `needs_posts`.

    Returns:
        None where the posts have changed since they were labelled, so that nothing can be said.
    """
    given = _constants(stored)
    train = labels["split"].to_numpy() == "train"
    if posts is None:
        targets = labels["target"].to_numpy()[train]
        if not len(targets):
            return None
        return LabelFit(given, {"threshold": float(np.quantile(targets, 1 - stored["top_fraction"]))})
    fitted = FittedLabel.from_dict(stored)
    if not _unchanged(fitted, labels, posts):
        return None
    chosen = pc.is_in(posts["post_id"], labels["post_id"].filter(pa.array(train)).combine_chunks())
    again = fit(fitted.spec, posts, np.asarray(chosen, dtype=bool))
    return LabelFit(given, _constants(again.to_dict()))


def _unchanged(fitted: FittedLabel, labels: pa.Table, posts: pa.Table) -> bool:
    """Whether these posts, labelled with the stored constants, have the targets of the table."""
    now = fitted.apply(posts)
    place = pc.index_in(labels["post_id"], posts["post_id"].filter(pa.array(now.mask)).combine_chunks())
    if place.null_count:
        return False
    found: npt.NDArray[np.float64] = now.target[place.to_numpy()]
    return bool(np.allclose(found, labels["target"].to_numpy(), rtol=1e-9, atol=0))


def _constants(stored: Mapping[str, Any]) -> dict[str, float]:
    return {"threshold": stored["threshold"], **stored["fitted"], **stored["bin_thresholds"]}
