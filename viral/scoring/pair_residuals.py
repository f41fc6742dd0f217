"""Residuals of pairs of posts: how far the difference of two targets may lie from the difference of their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.errors import TableError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

GRID = 1001  # stored quantiles: one per 0.1 %, as many as a calibration stores of its reference posts
MIN_PAIRS = 100  # pairs by one author: fewer say too little about the tails, and then any two posts make a pair
MAX_PARTNERS = 10  # per post and direction: an author's weight grows with their posts, not with the square of it


@dataclass(frozen=True)
class PairResiduals:
    """Residual differences of pairs of posts: the difference of their targets minus that of their scores.

    Attributes:
        grid: quantiles at 1,001 evenly spaced levels from 0 to 1; symmetric about 0, since each pair counts both ways.
        pairs: number of pairs.
        one_author: whether both posts of a pair are by one author, as a draft and its variants are.
    """

    grid: tuple[float, ...]
    pairs: int
    one_author: bool

    @classmethod
    def fit(cls, predicted: Floats, actual: Floats, authors: Ints, *, seed: int = 0) -> PairResiduals:
        """Fit on posts that the model was not trained on.

        Args:
            predicted: score of each post (N,).
            actual: its target (N,), in the same units.
            authors: author code of each post (N,).
            seed: for the choice of pairs.

        Raises:
            TableError: fewer than two posts.
        """
        finite = np.isfinite(predicted) & np.isfinite(actual)
        residuals, codes = (actual - predicted)[finite], authors[finite]
        if len(residuals) < 2:
            raise TableError("the differences between posts need at least two posts of the validation split")
        # Posts by one author differ less: drafts to compare are by one author, too.
        sizes = np.unique(codes, return_counts=True)[1]
        one_author = int((sizes * (sizes - 1) // 2).sum()) >= MIN_PAIRS
        left, right = _pairs(codes if one_author else np.zeros_like(codes), np.random.default_rng(seed))
        differences = residuals[left] - residuals[right]
        # Both directions of each pair: which post is the first is arbitrary, so the distribution is symmetric.
        grid = np.quantile(np.concatenate([differences, -differences]), np.linspace(0, 1, GRID))
        return cls(tuple(map(float, (grid - grid[::-1]) / 2)), len(differences), one_author)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> PairResiduals:
        """Read what `to_dict` returned."""
        return cls(tuple(map(float, stored["grid"])), int(stored["pairs"]), bool(stored["one_author"]))

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON."""
        return {"grid": list(self.grid), "pairs": self.pairs, "one_author": self.one_author}

    @cached_property
    def _quantiles(self) -> Floats:
        return np.array(self.grid)

    def win_probability(self, difference: float) -> float:
        """Probability that a post does better than another whose score is lower by `difference`; a tie counts half.

        Smoothed, never 0 or 1, since the number of pairs is finite.
        """
        ranks = [np.searchsorted(self._quantiles, -difference, side=side) for side in ("left", "right")]
        count = len(self.grid)
        return float((count - sum(ranks) / 2 + 0.5) / (count + 1))

    def interval(self, difference: float, level: float = 0.9) -> tuple[float, float]:
        """Interval of the difference of two targets, at `level`, given the difference of their scores."""
        levels = np.linspace(0, 1, len(self.grid))
        low, high = np.interp([(1 - level) / 2, (1 + level) / 2], levels, self._quantiles)
        return difference + float(low), difference + float(high)


def _pairs(codes: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Pair each post with the next ones of its author, in a circle of random order; returns the indices of both."""
    order = rng.permutation(len(codes))
    # Posts of one author side by side, in random order among themselves.
    order = order[np.argsort(codes[order], kind="stable")]
    _, starts, counts = np.unique(codes[order], return_index=True, return_counts=True)
    first, size = np.repeat(starts, counts), np.repeat(counts, counts)
    position = np.arange(len(order)) - first
    left, right = [], []
    for step in range(1, MAX_PARTNERS + 1):
        # Half the circle: the other half would repeat the same pairs.
        paired = (size > 2 * step) | ((size == 2 * step) & (position < step))
        left.append(order[paired])
        right.append(order[(first + (position + step) % size)[paired]])
    return np.concatenate(left), np.concatenate(right)
