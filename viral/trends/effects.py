"""How a feature differs between viral and other posts: effect sizes, with an interval for all features at once.

The effect size is Cliff's delta: the probability that a viral post has the higher value, minus the probability that the
other one has. It compares ranks, so neither units nor outliers matter.

Intervals are simultaneous: of 100 tables of features without any difference, about 90 show no interval that excludes
zero, however many features they have. They are from the largest standardised error of all features in each resample of
authors (single-step max-t, Westfall and Young 1993). The features are correlated (a longer caption has more words and
more hashtags), and unlike Bonferroni's or Holm's correction this one knows by how much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap.by_author import AuthorBootstrap

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RESAMPLES = 500  # the quantile 0.9 of the largest error then has a standard error of about 0.013 in probability
LEVEL = 0.9  # as every interval of the product
MIN_AUTHORS = 20  # on either side: a bootstrap over fewer says little
_BINS = 256  # of a feature, by rank; a feature with fewer values keeps them all
_BLOCK = 100  # resamples at once: 40 MB of weights for 100,000 authors


@dataclass(frozen=True)
class EffectSizes:
    """Effects of F features, (F,) each; `low`, `high` and `adjusted_p` are NaN where too few authors have a feature."""

    effect: Floats
    low: Floats
    high: Floats
    adjusted_p: Floats

    def row(self, index: int) -> dict[str, float | None]:
        """The values of one feature by name, None for NaN."""
        values = {name: float(getattr(self, name)[index]) for name in ("effect", "low", "high", "adjusted_p")}
        return {name: value if np.isfinite(value) else None for name, value in values.items()}


def effects(
    features: npt.NDArray[np.float32], viral: npt.NDArray[np.bool_], authors: Ints, seed: int = 0
) -> EffectSizes:
    """Compute Cliff's delta of each feature, its simultaneous interval, and its p-value for all features together.

    Args:
        features: (N, F), NaN where a post has no value.
        viral: (N,).
        authors: code of each post's author, (N,).
        seed: of the resamples.
    """
    bootstrap = AuthorBootstrap(authors, RESAMPLES, seed)
    counts = [_Counts(column, viral, bootstrap.author_index) for column in features.T]
    whole = np.ones((bootstrap.num_authors, 1), np.float32)
    effect = np.array([count.deltas(whole)[0] for count in counts])
    drawn = np.empty((RESAMPLES, len(counts)))
    for start in range(0, RESAMPLES, _BLOCK):
        block = range(start, start + _BLOCK)
        weights = np.stack([bootstrap.counts(number) for number in block], axis=1).astype(np.float32)
        drawn[start : start + _BLOCK] = np.stack([count.deltas(weights) for count in counts], axis=1)
    enough = np.array([count.authors >= MIN_AUTHORS for count in counts])
    return _simultaneous(effect, drawn, enough)


class _Counts:
    """Posts of one feature by bin and author, viral ones and others.

    Args:
        values: (N,), NaN where unknown.
        viral: (N,).
        authors: index of each post's author, (N,).

    Attributes:
        authors: the smaller of the numbers of authors with viral and with other posts.
    """

    def __init__(self, values: npt.NDArray[np.float32], viral: npt.NDArray[np.bool_], authors: Ints) -> None:
        from scipy.sparse import csr_array

        known = np.isfinite(values)
        bins, sides, owners = _bins(values[known]), viral[known], authors[known]
        self.bins = int(bins.max(initial=0)) + 1
        shape = (2 * self.bins, int(authors.max()) + 1)
        rows = bins + self.bins * sides
        self._posts = csr_array((np.ones(len(rows), np.float32), (rows, owners)), shape)
        self.authors = min(len(np.unique(owners[sides == side])) for side in (True, False))

    def deltas(self, weights: npt.NDArray[np.float32]) -> Floats:
        """Cliff's delta with authors weighted by (A, R), (R,); NaN where one side is empty."""
        posts = (self._posts @ weights).astype(np.float64)
        other, viral = posts[: self.bins], posts[self.bins :]
        below = np.cumsum(other, axis=0) - other
        above = other.sum(axis=0) - below - other
        pairs = other.sum(axis=0) * viral.sum(axis=0)
        won = (viral * (below - above)).sum(axis=0)
        deltas: Floats = np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)
        return deltas


def _bins(values: npt.NDArray[np.float32]) -> Ints:
    """Bin of each value, (N,), ordered as the values; of equal values the same."""
    distinct = np.unique(values)
    if len(distinct) > _BINS:
        distinct = np.unique(np.quantile(values, np.arange(_BINS) / _BINS, method="inverted_cdf"))
    return np.maximum(np.searchsorted(distinct, values, side="right") - 1, 0).astype(np.int64)


def _simultaneous(effect: Floats, drawn: Floats, enough: npt.NDArray[np.bool_]) -> EffectSizes:
    """Intervals from the distribution of the largest standardised error over the features with enough authors."""
    low, high, adjusted_p = np.full((3, len(effect)), np.nan)
    error = np.nanstd(drawn, axis=0) if len(effect) else np.zeros(0)
    used = enough & (error > 0) & np.isfinite(drawn).all(axis=0)
    if used.any():
        largest = (np.abs(drawn[:, used] - effect[used]) / error[used]).max(axis=1)
        reach = np.quantile(largest, LEVEL) * error[used]
        low[used], high[used] = np.maximum(effect[used] - reach, -1), np.minimum(effect[used] + reach, 1)
        observed = np.abs(effect[used]) / error[used]
        # With one added, as the observed table is one of those that chance may give.
        adjusted_p[used] = (1 + (largest[:, None] >= observed).sum(axis=0)) / (1 + len(largest))
    return EffectSizes(effect, low, high, adjusted_p)
