"""Which columns of vectors say, value for value, what some other column says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_ROWS = 30
"""Of fewer posts two columns may agree by chance."""
LEAST_VALUES = 15
"""A column of fewer different values, nearly constant among them, says too little to be called the same."""
_AT_ONCE = 512  # columns, whose ranks are in memory together
_FIRST = 256  # rows by which most columns are cleared: a spectrogram has 50,000 of them
_NEAR = 0.1  # what a coefficient of so few rows may be off


def alike(
    values: npt.NDArray[np.floating], truths: Mapping[str, Floats], threshold: float
) -> Iterator[tuple[int, str, float]]:
    """The columns whose |Spearman| with a truth, over the rows where that is known, reaches a threshold.

    Args:
        values: (N, dim), finite.
        truths: by name, (N,), NaN where not known.
        threshold: at most 1.

    Yields:
        The place of the column, the name of the truth that it is most like, and the coefficient.
    """
    found: dict[int, tuple[float, str]] = {}
    for known, names in _by_rows(truths).values():
        ranks = _ranks(np.stack([truths[name][known] for name in names], axis=1))
        for place, coefficients in _suspects(values[known], ranks, threshold):
            best = int(np.abs(coefficients).argmax())
            strength = abs(float(coefficients[best]))
            found[place] = max(found.get(place, (0.0, "")), (strength, names[best]))
    for place, (strength, name) in sorted(found.items()):
        yield place, name, strength


def _by_rows(truths: Mapping[str, Floats]) -> dict[bytes, tuple[npt.NDArray[np.bool_], list[str]]]:
    """The truths that can be told by, in groups that are known of the same posts."""
    groups: dict[bytes, tuple[npt.NDArray[np.bool_], list[str]]] = {}
    for name, truth in truths.items():
        known = np.isfinite(truth)
        if known.sum() >= LEAST_ROWS and len(np.unique(truth[known])) >= LEAST_VALUES:
            groups.setdefault(known.tobytes(), (known, []))[1].append(name)
    return groups


def _suspects(values: npt.NDArray[np.floating], ranks: Floats, threshold: float) -> Iterator[tuple[int, Floats]]:
    few = _ranks(ranks[:_FIRST])
    for start in range(0, values.shape[1], _AT_ONCE):
        block = values[:, start : start + _AT_ONCE]
        near = _strongest(_ranks(block[:_FIRST]), few) >= threshold - _NEAR
        for place in np.flatnonzero(near):
            if len(np.unique(block[:, place])) >= LEAST_VALUES:
                coefficients = _coefficients(_ranks(block[:, [place]]), ranks)[0]
                if np.abs(coefficients).max() >= threshold:
                    yield start + int(place), coefficients


def _strongest(one: Floats, other: Floats) -> Floats:
    strongest: Floats = np.abs(_coefficients(one, other)).max(axis=1)
    return strongest


def _coefficients(one: Floats, other: Floats) -> Floats:
    """Spearman's, (columns, columns), from the ranks of both."""
    return one.T @ other


def _ranks(values: npt.NDArray[np.floating]) -> Floats:
    """Ranks (N, dim), each column with mean 0 and length 1; all 0 where it is constant."""
    from scipy.stats import rankdata

    ranks: Floats = rankdata(values, axis=0)
    ranks -= ranks.mean(axis=0)
    length = np.linalg.norm(ranks, axis=0)
    return ranks / np.where(length > 0, length, 1)
