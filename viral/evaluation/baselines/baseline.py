"""Inputs of the baselines, helpers to select rows, and the result of an unavailable baseline."""

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
        y: actual score of each post.
        is_viral: whether each post is viral.
        duration: length of the video in seconds.
        followers: number of followers of the author.
        hour: hour of posting, 0 to 24.
        authors: author code of each post, from `splits.author_codes`.
        posted_at: posting time, in any unit.
        metadata: facts known at the time of posting, (rows, columns).
        captions: caption of each post, None if it has none.
        vectors: vectors (rows, dim) by extractor, NaN for posts without a vector and for posts left out to save memory.
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
    """Result of a baseline without predictions for this corpus and split; `reason` says why."""

    reason: str


def row_indices(rows: Rows) -> Ints:
    """Convert a mask or indices to row indices."""
    return np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.int64)


def sample(rows: Ints, limit: int) -> Ints:
    """Draw at most `limit` of the rows at random, with a fixed seed and in the given order."""
    if len(rows) <= limit:
        return rows
    # Fixed, so that a scorecard computed again has the same baselines.
    return rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:limit])]
