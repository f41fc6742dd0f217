"""How far the difference between two posts may be from the difference between their scores."""

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

POINTS = 1001
LEAST_PAIRS = 100
"""Fewer pairs of posts of one author than this say too little: then any two posts are a pair."""
PARTNERS = 10
"""With so many other posts each post is paired at most, so that no author counts by the square of their posts."""


@dataclass(frozen=True)
class Gaps:
    """The residual differences of pairs of posts: the difference of their targets less that of their scores.

    Attributes:
        grid: their quantiles at 1,001 evenly spaced levels from 0 to 1; symmetric about 0, as each pair counts both
            ways.
        pairs: from how many pairs they are.
        one_author: whether both posts of a pair are by one author, which is the case of a draft and its variants.
    """

    grid: tuple[float, ...]
    pairs: int
    one_author: bool

    @classmethod
    def of(cls, predicted: Floats, actual: Floats, authors: Ints, *, seed: int = 0) -> Gaps:
        """From posts that the model has not seen.

        Args:
            predicted: the score of each post (N,).
            actual: its target (N,), in the same units.
            authors: a code for each post (N,); equal codes are one author.
            seed: which posts are paired where they are too many.

        Raises:
            TableError: fewer than two posts.
        """
        known = np.isfinite(predicted) & np.isfinite(actual)
        residuals, codes = (actual - predicted)[known], authors[known]
        if len(residuals) < 2:
            raise TableError("the differences between posts need at least two posts of the validation split")
        sizes = np.unique(codes, return_counts=True)[1]
        one_author = int((sizes * (sizes - 1) // 2).sum()) >= LEAST_PAIRS
        left, right = _pairs(codes if one_author else np.zeros_like(codes), np.random.default_rng(seed))
        gaps = residuals[left] - residuals[right]
        grid = np.quantile(np.concatenate([gaps, -gaps]), np.linspace(0, 1, POINTS))
        return cls(tuple(map(float, (grid - grid[::-1]) / 2)), len(gaps), one_author)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Gaps:
        """As `to_dict` wrote it."""
        return cls(tuple(map(float, stored["grid"])), int(stored["pairs"]), bool(stored["one_author"]))

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"grid": list(self.grid), "pairs": self.pairs, "one_author": self.one_author}

    @cached_property
    def _quantiles(self) -> Floats:
        return np.array(self.grid)

    def beats(self, difference: float) -> float:
        """The probability that a post whose score is higher by `difference` does better than the other; ties half.

        Never 0 nor 1: so many pairs cannot say that.
        """
        places = [np.searchsorted(self._quantiles, -difference, side=side) for side in ("left", "right")]
        count = len(self.grid)
        return float((count - sum(places) / 2 + 0.5) / (count + 1))

    def interval(self, difference: float, level: float = 0.9) -> tuple[float, float]:
        """Where the difference between two posts lies in a share `level` of the cases when their scores differ so."""
        levels = np.linspace(0, 1, len(self.grid))
        low, high = np.interp([(1 - level) / 2, (1 + level) / 2], levels, self._quantiles)
        return difference + float(low), difference + float(high)


def _pairs(codes: Ints, chance: np.random.Generator) -> tuple[Ints, Ints]:
    """Places of the posts of each pair: every post with the next ones of its code, in a circle of random order."""
    order = chance.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    _, starts, counts = np.unique(codes[order], return_index=True, return_counts=True)
    first, size = np.repeat(starts, counts), np.repeat(counts, counts)
    place = np.arange(len(order)) - first
    left, right = [], []
    for step in range(1, PARTNERS + 1):
        # Half the circle: the other half would be the same pairs again.
        paired = (size > 2 * step) | ((size == 2 * step) & (place < step))
        left.append(order[paired])
        right.append(order[(first + (place + step) % size)[paired]])
    return np.concatenate(left), np.concatenate(right)
