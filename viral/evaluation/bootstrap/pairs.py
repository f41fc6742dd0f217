"""Kendall's tau-b and pairwise accuracy of weighted rows: each pair is compared once for all resamples.

Concordant minus discordant pairs are summed per pair of authors. A resample weights each sum by how often it draws both
authors. The cost grows with the square of the rows, so a large test set is sampled. The values equal those of `metrics`
for repeated rows (tests check this).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap.order import Floats, Order, Rows

# Half a second per system; the time grows with the square. Values are coded as int16: at most 32,767 rows.
MAX_ROWS, MAX_AUTHORS = 10_000, 2_000
METRICS = ("kendall", "pairwise_accuracy")
_BLOCK = 128  # rows compared with all others at a time: the intermediate arrays fit in the processor's cache


def sample_rows(authors: npt.NDArray[np.int64], seed: int) -> Rows:
    """Return all rows, or the rows of as many random authors as `MAX_ROWS` and `MAX_AUTHORS` allow.

    Authors with more than `MAX_ROWS` rows are left out of a sample.
    """
    codes, inverse, sizes = np.unique(authors, return_inverse=True, return_counts=True)
    if len(authors) <= MAX_ROWS and len(codes) <= MAX_AUTHORS:
        return np.arange(len(authors))
    order = np.random.default_rng(seed).permutation(len(codes))
    # Whole authors, since resamples draw whole authors.
    fitting = order[sizes[order] <= MAX_ROWS]
    count = int(np.searchsorted(np.cumsum(sizes[fitting]), MAX_ROWS, side="right"))
    return np.flatnonzero(np.isin(inverse, fitting[: min(count, MAX_AUTHORS)]))


@dataclass(frozen=True)
class Pairs:
    """All pairs of rows, compared by actual score `y` and by the score that one system predicts.

    Attributes:
        concordance: concordant minus discordant pairs per pair of authors, (authors, authors).
        untied_y: number of pairs with different `y` in each resample, (resamples,).
        order: the rows by predicted score.
    """

    concordance: Floats
    untied_y: Floats
    order: Order

    @classmethod
    def from_scores(cls, y: Floats, score: Floats, author_index: Rows, untied_y: Floats) -> Pairs:
        """Compare all pairs of at most `MAX_ROWS` rows; `y`, `score` and `author_index` are (rows,)."""
        # Sort by author, so that `reduceat` can sum per author.
        rows = np.argsort(author_index, kind="stable")
        starts = np.flatnonzero(np.diff(author_index[rows], prepend=-1))
        truth, predicted = (_codes(column[rows]) for column in (y, score))
        # Summed over one side of the pairs block by block, then over the other: no array of all pairs is in memory.
        by_author = np.empty((len(starts), len(rows)), np.int16)
        for start in range(0, len(rows), _BLOCK):
            block = slice(start, start + _BLOCK)
            signs = (predicted[:, None] > predicted[block]).view(np.int8)
            signs = signs - (predicted[:, None] < predicted[block]).view(np.int8)
            # +1 for a concordant pair, -1 for a discordant one. Each pair counts once, in the row with the higher `y`.
            signs *= (truth[:, None] > truth[block]).view(np.int8)
            np.add.reduceat(signs, starts, axis=0, dtype=np.int16, out=by_author[:, block])
        concordance = np.add.reduceat(by_author, starts, axis=1, dtype=np.int32).astype(np.float64)
        return cls(concordance, untied_y, Order.from_values(score, author_index, rows))

    def metrics(self, counts: Floats) -> dict[str, Floats]:
        """Return both metrics, (resamples,), NaN where undefined; `counts` is (resamples, authors)."""
        concordance = ((counts @ self.concordance) * counts).sum(axis=1)
        untied_score = untied_pairs(self.order, counts)
        defined = (self.untied_y > 0) & (untied_score > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            tau = np.clip(concordance / np.sqrt(self.untied_y) / np.sqrt(untied_score), -1, 1)
            accuracy = (concordance / self.untied_y + 1) / 2
        return {name: np.where(defined, v, np.nan) for name, v in zip(METRICS, (tau, accuracy), strict=True)}


def untied_pairs(order: Order, counts: Floats) -> Floats:
    """Count the pairs with different values in each resample, (resamples,), from counts (resamples, authors)."""
    resamples = map(order.resample, counts)
    return np.array([(weighted.total**2 - (weighted.sizes**2).sum()) / 2 for weighted in resamples])


def _codes(values: Floats) -> npt.NDArray[np.int16]:
    # Only the order counts, and small integers are compared faster than floats.
    return np.unique(values, return_inverse=True)[1].astype(np.int16)
