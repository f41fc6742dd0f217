"""Inputs of the baselines, and the reason why one is unavailable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.bool_] | Ints


@dataclass(frozen=True)
class Inputs:
    """Columns of all posts of all parts, (rows,) unless noted; NaN: unknown.

    Attributes:
        y: the score that each post reached.
        is_viral: whether it is viral.
        duration: seconds of video.
        followers: the author's followers.
        hour: hour of posting, 0 to 24.
        authors: a code for each author (`splits.author_codes`).
        posted_at: posting time, in any increasing unit.
        metadata: facts known at the time of posting, (rows, columns).
        captions: caption of each post, None where it has none.
        vectors: by extractor (rows, dim), NaN where a post has none or was not sampled to limit memory.
    """

    y: Floats
    is_viral: npt.NDArray[np.bool_]
    duration: Floats | None = None
    followers: Floats | None = None
    hour: Floats | None = None
    authors: Ints | None = None
    posted_at: Floats | None = None
    metadata: npt.NDArray[np.floating[Any]] | None = None
    captions: Sequence[str | None] | None = None
    vectors: Mapping[str, npt.NDArray[np.float32]] | None = None


@dataclass(frozen=True)
class Unavailable:
    """Reason why a baseline has no predictions for this corpus and split."""

    reason: str


def row_indices(rows: Rows) -> Ints:
    """Row indices from a mask or from indices."""
    return np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.int64)


def sample(rows: Ints, limit: int) -> Ints:
    """At most `limit` of the rows, by a fixed random draw, in ascending order."""
    if len(rows) <= limit:
        return rows
    return rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:limit])]
