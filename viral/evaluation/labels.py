"""Targets of the posts that a model is evaluated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Labels:
    """Targets of N posts; each column (N,).

    Attributes:
        post_ids: one id per post.
        authors: author code of each post, from `splits.author_codes`.
        y: actual score of each post.
        is_viral: whether each post is viral.
        posted_at: posting time, datetime64[us], UTC; needed only for evaluation over time.
    """

    post_ids: Sequence[str]
    authors: npt.NDArray[np.int64]
    y: npt.NDArray[np.float64]
    is_viral: npt.NDArray[np.bool_]
    posted_at: npt.NDArray[np.datetime64] | None = None

    def take(self, rows: npt.NDArray[np.int64]) -> Labels:
        """Select posts by row index."""
        posted_at = None if self.posted_at is None else self.posted_at[rows]
        ids = [self.post_ids[int(row)] for row in rows]
        return Labels(ids, self.authors[rows], self.y[rows], self.is_viral[rows], posted_at)
