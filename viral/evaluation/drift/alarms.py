"""Limits of the drift metrics, and alarms as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from viral.errors import ConfigError
from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report.formatting import percent
from viral.evaluation.study.study import difference


@dataclass(frozen=True)
class AlarmLimits:
    """Limits that raise an alarm when crossed.

    Attributes:
        coverage: lowest and highest fraction of posts whose label lies in its interval; nominal is 0.9.
        calibration: largest distance between the mean probability and the fraction that was viral.
        auc: largest loss of ROC-AUC against the scorecard.
        unknown: largest fraction of out-of-distribution posts.

    Raises:
        ConfigError: a limit is outside 0 to 1, or the coverage limits are in the wrong order.
    """

    coverage: tuple[float, float] = (0.80, 0.97)  # twice as many misses as promised, or less than a third
    calibration: float = 0.05  # 5 percentage points
    auc: float = 0.05
    unknown: float = 0.10  # ten times the normal 1 %

    def __post_init__(self) -> None:
        for name, value in (("calibration", self.calibration), ("auc", self.auc), ("unknown", self.unknown)):
            if not 0 <= value <= 1:
                raise ConfigError(f"the limit of {name} is {value:g}: it must be between 0 and 1")
        if not 0 <= self.coverage[0] < self.coverage[1] <= 1:
            low, high = self.coverage
            raise ConfigError(f"coverage between {low:g} and {high:g} cannot be: give the least, then the most")


@dataclass(frozen=True)
class Alarm:
    """A metric of a window beyond its limit, as a sentence; `metric` is `figure` in JSON."""

    metric: str
    first: str
    last: str
    sentence: str


def beyond_limits(
    metrics: Mapping[str, Estimate], limits: AlarmLimits, reference: Estimate | None
) -> Iterator[tuple[str, str]]:
    """Yield the metrics whose whole interval lies beyond a limit, with a description.

    Args:
        metrics: of a `DriftWindow`.
        limits: of the alarms.
        reference: ROC-AUC of the scorecard, if there is one.
    """
    for check in (_coverage, _calibration, _unknown):
        yield from check(metrics, limits)
    yield from _auc(metrics["roc_auc"], limits, reference)


def _coverage(metrics: Mapping[str, Estimate], limits: AlarmLimits) -> Iterator[tuple[str, str]]:
    (low, high), coverage = limits.coverage, metrics["coverage"]
    text = f"{_percentage(coverage)} of the intervals hold what came"
    if coverage.high is not None and coverage.high < low:
        yield "coverage", f"{text}, less than {percent(low)}: they are too narrow"
    if coverage.low is not None and coverage.low > high:
        yield "coverage", f"{text}, more than {percent(high)}: they are too wide"


def _calibration(metrics: Mapping[str, Estimate], limits: AlarmLimits) -> Iterator[tuple[str, str]]:
    gap, limit = metrics["calibration"], limits.calibration
    # Either end beyond the limit: too many predicted, or too few.
    if gap.low is not None and gap.high is not None and (gap.low > limit or gap.high < -limit):
        predicted, actual = (100 * _value(metrics[name]) for name in ("predicted", "happened"))
        many = "many" if predicted > actual else "few"
        low, high = (f"{100 * end:+.1f}" for end in (gap.low, gap.high))
        yield (
            "calibration",
            f"{predicted:.1f} % were predicted to be viral and {actual:.1f} % were, so too {many} were predicted: the "
            f"gap of {100 * _value(gap):+.1f} ({low} to {high}) points is beyond {100 * limit:g}",
        )


def _unknown(metrics: Mapping[str, Estimate], limits: AlarmLimits) -> Iterator[tuple[str, str]]:
    unknown = metrics.get("unknown", Estimate(None))
    if unknown.low is not None and unknown.low > limits.unknown:
        yield "unknown", f"{_percentage(unknown)} are unlike the training posts, more than {percent(limits.unknown)}"


def _auc(auc: Estimate, limits: AlarmLimits, reference: Estimate | None) -> Iterator[tuple[str, str]]:
    loss = difference(auc, reference)
    if loss.high is not None and loss.high < -limits.auc:
        yield (
            "roc_auc",
            f"ROC-AUC is {_value(auc):.3f}, where the scorecard has {_value(reference):.3f}: it fell by more than "
            f"{limits.auc:g}",
        )


def _percentage(fraction: Estimate) -> str:
    """Format a fraction with its interval."""
    low, high = (f"{100 * (float('nan') if end is None else end):.1f}" for end in (fraction.low, fraction.high))
    return f"{100 * _value(fraction):.1f} % ({low} to {high})"


def _value(estimate: Estimate | None) -> float:
    return float("nan") if estimate is None or estimate.value is None else float(estimate.value)
