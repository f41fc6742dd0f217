"""Repeated measurements: interleaved rounds, medians with their spread, and differences checked against noise."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

ROUNDS = (
    3  # the least that gives a median and a spread; the sides' ranges of three are apart by chance in 1 of 10 cases
)
WITHIN_NOISE = "within noise"

Samples = dict[str, list[float]]
"""Measurements of each side, one per round."""


def interleave(measure: Callable[[], Iterable[tuple[str, float]]], rounds: int = ROUNDS) -> Samples:
    """Call `measure` once per round and collect its (side, value) pairs.

    Every round measures every side once, so that load from other processes affects all sides alike.
    """
    samples: Samples = defaultdict(list)
    for number in range(rounds):
        for side, value in measure():
            samples[side].append(value)
            print(f"round {number + 1}: {value:12.4g}  {side}", flush=True)
    return dict(samples)


def describe(values: Sequence[float], digits: int = 3) -> str:
    """Median with minimum and maximum, as in `0.523 (0.510 to 0.541)`; `within noise` if not all are positive."""
    if min(values) <= 0:
        return WITHIN_NOISE
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def ratio(values: Sequence[float], base: Sequence[float], digits: int = 2) -> str:
    """Median ratio of two sides over the rounds, with its spread; `within noise` if the sides' ranges overlap."""
    if min(base) <= 0 or (min(values) <= max(base) and min(base) <= max(values)):
        return WITHIN_NOISE
    return describe([value / other for value, other in zip(values, base, strict=True)], digits)


def slope(times: Sequence[float], values: Sequence[float]) -> float | None:
    """Slope of a straight line through the samples; None if its rise is smaller than the scatter around it."""
    fit = statistics.linear_regression(times, values)
    residuals = [value - fit.slope * time for time, value in zip(times, values, strict=True)]
    rise = abs(fit.slope) * (max(times) - min(times))
    return fit.slope if rise > max(residuals) - min(residuals) else None


def print_table(samples: Mapping[str, Sequence[float]], base: str | None = None, digits: int = 3) -> None:
    """Print the median and spread of each side, and its ratio to the side `base`."""
    width = max(map(len, samples)) + 2
    print(f"\n{'median of ' + str(len(next(iter(samples.values())))):{width}}")
    for side, values in samples.items():
        text = f"{side:{width}}{describe(values, digits):>28}"
        if base is not None and side != base:
            text += f"{ratio(values, samples[base]):>28}  of {base}"
        print(text, flush=True)
