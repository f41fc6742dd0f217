"""Kendall's tau-b and pairwise accuracy, of weighted rows: every pair is looked at once, for all resamples.

The pairs in the right order less those in the wrong one are added up for each two authors. A resample then weighs
that table by how often it holds the two. It takes about the rows squared, so that of a large test a sample is enough.
The figures equal those of `metrics` for the same rows repeated (tests hold them to it).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap.order import Floats, Order, Rows

MOST_ROWS, MOST_AUTHORS = 10_000, 2_000
"""Half a second a system. More would take its square; codes of rows have 16 bits, enough for 32,767."""
FIGURES = ("kendall", "pairwise_accuracy")
_BLOCK = 128
"""Rows held against all others at a time: what that makes stays in the processor's cache."""


def sampled(authors: npt.NDArray[np.int64], seed: int) -> Rows:
    """All rows, or those of authors drawn at random, as many as stay within both limits.

    An author with more rows than `MOST_ROWS` is never among them.
    """
    codes, inverse, sizes = np.unique(authors, return_inverse=True, return_counts=True)
    if len(authors) <= MOST_ROWS and len(codes) <= MOST_AUTHORS:
        return np.arange(len(authors))
    order = np.random.default_rng(seed).permutation(len(codes))
    fitting = order[sizes[order] <= MOST_ROWS]
    count = int(np.searchsorted(np.cumsum(sizes[fitting]), MOST_ROWS, side="right"))
    return np.flatnonzero(np.isin(inverse, fitting[: min(count, MOST_AUTHORS)]))


@dataclass(frozen=True)
class Pairs:
    """The pairs of rows of one system.

    Attributes:
        right: for each two authors, their pairs in the right order less those in the wrong one, (authors, authors).
        apart: the pairs with different `y` in each resample, (resamples,).
        order: by the score predicted.
    """

    right: Floats
    apart: Floats
    order: Order

    @classmethod
    def of(cls, y: Floats, score: Floats, places: Rows, apart: Floats) -> Pairs:
        """Holds each row against each other; at most `MOST_ROWS` of them, each (rows,), places from 0 on."""
        rows = np.argsort(places, kind="stable")
        starts = np.flatnonzero(np.diff(places[rows], prepend=-1))
        truth, said = (_codes(column[rows]) for column in (y, score))
        added = np.empty((len(starts), len(rows)), np.int16)
        for at in range(0, len(rows), _BLOCK):
            here = slice(at, at + _BLOCK)
            signs = (said[:, None] > said[here]).view(np.int8) - (said[:, None] < said[here]).view(np.int8)
            signs *= (truth[:, None] > truth[here]).view(np.int8)
            np.add.reduceat(signs, starts, axis=0, dtype=np.int16, out=added[:, here])
        right = np.add.reduceat(added, starts, axis=1, dtype=np.int32).astype(np.float64)
        return cls(right, apart, Order.of(score, places, rows))

    def figures(self, counts: Floats) -> dict[str, Floats]:
        """Both figures, (resamples,), NaN where undefined, from how often each holds each author."""
        right = ((counts @ self.right) * counts).sum(axis=1)
        said = pairs_apart(self.order, counts)
        defined = (self.apart > 0) & (said > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            tau = np.clip(right / np.sqrt(self.apart) / np.sqrt(said), -1, 1)
            share = (right / self.apart + 1) / 2
        figures = zip(FIGURES, (tau, share), strict=True)
        return {name: np.where(defined, values, np.nan) for name, values in figures}


def pairs_apart(order: Order, counts: Floats) -> Floats:
    """How many pairs of each resample have different values, (resamples,), from (resamples, authors)."""

    def apart(drawn: Floats) -> float:
        weighted = order.weigh(drawn)
        return float(weighted.upto[-1] ** 2 - (weighted.sizes**2).sum()) / 2

    return np.array([apart(drawn) for drawn in counts])


def _codes(values: Floats) -> npt.NDArray[np.int16]:
    return np.unique(values, return_inverse=True)[1].astype(np.int16)
