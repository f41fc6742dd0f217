"""What a baseline is given, and what it answers."""

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
    """What the baselines may look at, for all posts of all parts; each (rows,) unless said. NaN: not known.

    Attributes:
        y: the score that each post reached.
        is_viral: whether it is viral.
        duration: seconds of video.
        followers: the author's followers.
        hour: hour of posting, 0 to 24.
        authors: a code for each author (`splits.author_codes`).
        posted_at: posting time, in any unit that grows.
        metadata: what is known at the moment of posting, (rows, columns).
        captions: the text of each post, None where it has none.
        vectors: by extractor (rows, dim), NaN where a post has none or too many posts have some to hold them all.
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
class Predicted:
    """For each test post the probability that it is viral and its score, each (test rows,)."""

    probability: Floats
    score: Floats


@dataclass(frozen=True)
class Unavailable:
    """Why a baseline cannot be had from this corpus and split."""

    reason: str


def positions(rows: Rows) -> Ints:
    """The rows as positions, whether they come as a mask or as positions."""
    return np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.int64)


def some(rows: Ints, limit: int) -> Ints:
    """At most so many of the rows, drawn by a fixed lot."""
    if len(rows) <= limit:
        return rows
    return rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:limit])]
