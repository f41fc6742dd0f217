"""Find the columns of vectors that say, value for value, what a known quantity says: by Spearman correlation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MIN_ROWS = 30  # posts: with fewer, two columns may agree by chance
MIN_VALUES = 15  # distinct values: a nearly constant column says too little to be called the same
_CHUNK = 512  # columns ranked at once, to bound memory
_PRESCREEN_ROWS = 256  # rows that clear most columns, of which a spectrogram has 50,000
_PRESCREEN_MARGIN = 0.1  # error of a coefficient over the prescreen's rows


def matching_columns(
    values: npt.NDArray[np.floating], targets: Mapping[str, Floats], threshold: float
) -> Iterator[tuple[int, str, float]]:
    """Find the columns whose |Spearman| with a target, over the rows that have it, reaches a threshold.

    Args:
        values: (N, dim), finite.
        targets: by name, (N,), NaN where unknown.
        threshold: at most 1.

    Yields:
        Index of the column, name of the target that it matches best, and the coefficient.
    """
    best: dict[int, tuple[float, str]] = {}
    for finite, names in _by_rows(targets).values():
        ranks = _ranks(np.stack([targets[name][finite] for name in names], axis=1))
        for column, coefficients in _matches(values[finite], ranks, threshold):
            strongest = int(np.abs(coefficients).argmax())
            strength = abs(float(coefficients[strongest]))
            best[column] = max(best.get(column, (0.0, "")), (strength, names[strongest]))
    for column, (strength, name) in sorted(best.items()):
        yield column, name, strength


def _by_rows(targets: Mapping[str, Floats]) -> dict[bytes, tuple[npt.NDArray[np.bool_], list[str]]]:
    """Group the targets that have enough values by the rows where they are finite."""
    groups: dict[bytes, tuple[npt.NDArray[np.bool_], list[str]]] = {}
    for name, target in targets.items():
        finite = np.isfinite(target)
        if finite.sum() >= MIN_ROWS and len(np.unique(target[finite])) >= MIN_VALUES:
            groups.setdefault(finite.tobytes(), (finite, []))[1].append(name)
    return groups


def _matches(values: npt.NDArray[np.floating], ranks: Floats, threshold: float) -> Iterator[tuple[int, Floats]]:
    # A few rows clear nearly all columns; only the rest are compared on all rows.
    first_ranks = _ranks(ranks[:_PRESCREEN_ROWS])
    for start in range(0, values.shape[1], _CHUNK):
        block = values[:, start : start + _CHUNK]
        screened = np.abs(_spearman(_ranks(block[:_PRESCREEN_ROWS]), first_ranks)).max(axis=1)
        for column in np.flatnonzero(screened >= threshold - _PRESCREEN_MARGIN):
            if len(np.unique(block[:, column])) >= MIN_VALUES:
                coefficients = _spearman(_ranks(block[:, [column]]), ranks)[0]
                if np.abs(coefficients).max() >= threshold:
                    yield start + int(column), coefficients


def _spearman(left: Floats, right: Floats) -> Floats:
    """Spearman coefficients (left columns, right columns) of two matrices of ranks."""
    # Ranks have mean 0 and norm 1, so their product is the correlation.
    return left.T @ right


def _ranks(values: npt.NDArray[np.floating]) -> Floats:
    """Ranks (N, dim), each column with mean 0 and norm 1; all 0 if it is constant."""
    from scipy.stats import rankdata

    ranks: Floats = rankdata(values, axis=0)
    ranks -= ranks.mean(axis=0)
    length = np.linalg.norm(ranks, axis=0)
    return ranks / np.where(length > 0, length, 1)
