"""The rule for an input that says too much: how well what exists only after posting explains it.

The other way round than a model works: the input is the response, and the post's counts, their rates, the target and
`is_viral` are the predictors. Copies, monotone transforms, bins, noisy copies, ratios and weighted sums of counts are
then one case: a response that is predicted almost without error.

The rule: an input is reported if the lower bound of its correlation with its prediction is above `LIMIT`, and if it
tells posts of one author apart wherever that can be seen. The bound is one-sided at `FALSE_ALARM`: of inputs whose true
correlation is at most `LIMIT`, at most that fraction is reported. What is known of an author before a post (followers,
earlier views) stays below it or is the same for all posts of the author.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LIMIT = 0.9  # correlation of an input with its prediction; a copy with noise of 30 % has 0.96, followers 0.5 to 0.8
WITHIN_LIMIT = 0.4  # the same among posts of one author, where even a noisy copy keeps most of its meaning
FALSE_ALARM = 0.01  # of inputs exactly at the limit; all honest ones are far below it
MIN_ROWS = 30  # posts: with fewer, the bound is below the limit for all but exact copies
_MIN_MINORITY = 10  # posts with another value than the most common one: fewer say too little
_CHUNK = 512  # columns at once, to bound memory
_SCREEN = 0.6  # correlation by linear smoothers from which on a column is judged
_NEIGHBOURS = 7  # posts on each side: their median stands a third of noise, and steps stay sharp
_ROWS_PER_BIN = 15  # a bin's mean is then known to a quarter of a standard deviation
_MAX_BINS = 20
_PENALTY = 1e-4  # of the ridge regression, per post: only keeps collinear columns apart
_EFFICIENCY = 0.37  # of a median of absolute deviations against a standard deviation, for a normal distribution


@dataclass(frozen=True)
class Association:
    """A column of vectors that the quantities explain too well.

    `resembles` names the quantity that it is closest to, or a mix of several; `correlation` is with its prediction.
    """

    column: int
    resembles: str
    correlation: float


def explained_columns(
    values: npt.NDArray[np.floating], quantities: Mapping[str, Floats], authors: Ints
) -> Iterator[Association]:
    """Find the columns that the quantities explain too well, by the rule above.

    Args:
        values: (N, dim), finite.
        quantities: what exists only after posting, by name, (N,), NaN where unknown.
        authors: code of each post's author, (N,).
    """
    smoothers = _smoothers(quantities)
    for start in range(0, values.shape[1], _CHUNK):
        block = values[:, start : start + _CHUNK]
        for column, best in _screened(block, smoothers).items():
            strength = _strength(best, authors)
            if strength > LIMIT:
                yield Association(start + column, best.name, strength)


@dataclass(frozen=True)
class _Smoother:
    """Linear smoother of the rows `rows` of a sample, in the form of an orthonormal basis with its shrinkage."""

    name: str
    rows: Ints
    basis: Floats
    shrinkage: Floats

    @classmethod
    def fit(cls, name: str, rows: Ints, features: Floats) -> _Smoother:
        """Decompose the features (rows, dim) of a quantity or of several."""
        scale = features.std(axis=0)
        used = features[:, scale > 0]
        standard = (used - used.mean(axis=0)) / scale[scale > 0]
        basis, singular, _ = np.linalg.svd(standard, full_matrices=False)
        return cls(name, rows, basis, singular**2 / (singular**2 + _PENALTY * len(rows)))

    def predict(self, responses: Floats) -> Floats:
        """Predict centred responses (rows, dim) of each row from all other rows."""
        leverage = (self.basis**2) @ self.shrinkage + 1 / len(self.rows)
        fitted = self.basis @ (self.shrinkage[:, None] * (self.basis.T @ responses))
        # The exact leave-one-out prediction of ridge regression.
        left_out = np.clip(1 - leverage, 1e-6, None)[:, None]
        return np.asarray(responses - (responses - fitted) / left_out)


@dataclass(frozen=True)
class _Screened:
    """The best smoother of a column: its name, rows, and its predictions of the normal scores there."""

    name: str
    rows: Ints
    responses: Floats
    predictions: Floats
    correlation: float


def _smoothers(quantities: Mapping[str, Floats]) -> list[_Smoother]:
    """One smoother per quantity, and one of all that nearly every post has."""
    smoothers, common = [], []
    for name, values in quantities.items():
        rows = np.flatnonzero(np.isfinite(values))
        if len(rows) < MIN_ROWS or not _says_something(values[rows]):
            continue
        smoothers.append(_Smoother.fit(name, rows, np.hstack([_smooth(values[rows]), _bins(values[rows])])))
        if len(rows) >= 0.9 * len(values):  # a quantity that fewer posts have would take rows away from all others
            common.append(name)
    if len(common) > 1:
        rows = np.flatnonzero(np.isfinite([quantities[name] for name in common]).all(axis=0))
        features = np.hstack([_smooth(quantities[name][rows]) for name in common])
        smoothers.append(_Smoother.fit("a mix of " + ", ".join(common), rows, features))
    return smoothers


def _screened(block: npt.NDArray[np.floating], smoothers: list[_Smoother]) -> dict[int, _Screened]:
    """The best smoother of each column that may be explained too well."""
    best: dict[int, _Screened] = {}
    for smoother in smoothers:
        responses = normal_scores(block[smoother.rows])
        predictions = smoother.predict(responses)
        correlations = _correlations(responses, predictions)
        for column in np.flatnonzero(correlations >= _SCREEN).tolist():
            # A mix of all must be clearly better than the best single quantity: else that one is the better name.
            margin = 0.01 if smoother.name.startswith("a mix") else 0.0
            if column in best and correlations[column] < best[column].correlation + margin:
                continue
            if _says_something(block[smoother.rows, column]):
                found = (responses[:, column], predictions[:, column], float(correlations[column]))
                best[column] = _Screened(smoother.name, smoother.rows, *found)
    return best


def _strength(best: _Screened, authors: Ints) -> float:
    """Lower bound of the correlation of a column with its prediction; 0 if it does not tell an author's posts apart."""
    return max(
        _judged(best.responses, predictions, authors[best.rows])
        for predictions in (best.predictions, _running_medians(best.responses, best.predictions))
    )


def _judged(responses: Floats, predictions: Floats, authors: Ints) -> float:
    plain = float(_correlations(responses[:, None], predictions[:, None])[0])
    robust = _robust_correlation(responses, predictions)
    bounds = lower_bound(plain, len(responses)), lower_bound(robust, _EFFICIENCY * len(responses))
    apart = max(bounds) > LIMIT and _tells_posts_apart(responses, predictions, authors)
    return max(bounds) if apart else 0.0


def _running_medians(responses: Floats, predictions: Floats) -> Floats:
    """Median of the responses (N,) of the posts with the nearest predictions, without the post itself.

    It follows steps, and a column that is exact for most posts and noise for the rest.
    """
    order = np.argsort(predictions, kind="stable")
    padded = np.pad(responses[order], _NEIGHBOURS, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEIGHBOURS + 1)
    medians = np.empty(len(responses))
    medians[order] = np.median(np.delete(windows, _NEIGHBOURS, axis=1), axis=1)
    return medians


def _robust_correlation(responses: Floats, predictions: Floats) -> float:
    """Correlation of a normal distribution with this median error: exact for most posts, whatever the rest does."""
    spread = float(np.median(np.abs(responses - np.median(responses))))
    _, counts = np.unique(responses, return_counts=True)
    # Where many posts share a value, the median error says nothing.
    if spread == 0 or counts.max() > 0.2 * len(responses):
        return 0.0
    error = float(np.median(np.abs(responses - predictions))) / spread
    return float(np.sqrt(max(0.0, 1 - error**2)))


def _tells_posts_apart(responses: Floats, predictions: Floats, authors: Ints) -> bool:
    """Whether the prediction holds among posts of one author; true if too few authors have several posts."""
    _, codes = np.unique(authors, return_inverse=True)
    sizes = np.bincount(codes)
    if (sizes - 1).sum() < MIN_ROWS:
        return True

    def centred(values: Floats) -> Floats:
        means = np.bincount(codes, values) / sizes
        return np.asarray(values - means[codes])[:, None]

    return bool(_correlations(centred(responses), centred(predictions))[0] >= WITHIN_LIMIT)


def lower_bound(correlation: float, rows: float) -> float:
    """One-sided lower bound of a correlation, by Fisher's transform."""
    from scipy.stats import norm

    if rows <= 4:  # the transform needs more than three
        return 0.0
    z = np.arctanh(min(max(correlation, 0.0), 1 - 1e-12)) - norm.ppf(1 - FALSE_ALARM) / np.sqrt(rows - 3)
    return float(np.tanh(z))


def _correlations(left: Floats, right: Floats) -> Floats:
    """Pearson correlation of each pair of columns (dim,); 0 for a constant one."""
    left, right = left - left.mean(axis=0), right - right.mean(axis=0)
    norms = np.linalg.norm(left, axis=0) * np.linalg.norm(right, axis=0)
    return np.asarray((left * right).sum(axis=0) / np.where(norms > 1e-9, norms, np.inf))


def normal_scores(values: npt.NDArray[np.floating]) -> Floats:
    """Normal quantiles of the ranks (N, dim), centred; ties share the middle of their ranks."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    scores: Floats = ndtri((rankdata(values, axis=0) - 0.5) / len(values))
    return np.asarray(scores - scores.mean(axis=0))


def _smooth(values: Floats) -> Floats:
    """Normal scores with their square, and the signed logarithm: (N, 3)."""
    scores = normal_scores(values[:, None])[:, 0]
    return np.stack([scores, scores**2, np.sign(values) * np.log1p(np.abs(values))], axis=1)


def _bins(values: Floats) -> Floats:
    """Steps at quantiles (N, bins - 1), for bins and thresholds."""
    bins = int(np.clip(len(values) // _ROWS_PER_BIN, 1, _MAX_BINS))
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins))
    return (values[:, None] >= edges).astype(np.float64)


def _says_something(values: npt.NDArray[np.floating]) -> bool:
    _, counts = np.unique(values, return_counts=True)
    return bool(len(values) - counts.max() >= _MIN_MINORITY)
