"""What a figure of drift must lie beyond for an alarm, and the alarm in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from viral.errors import ConfigError
from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report.formatting import percent
from viral.evaluation.study.study import gap


@dataclass(frozen=True)
class Limits:
    """What a figure must lie beyond for an alarm.

    Attributes:
        coverage: least and greatest share of posts whose score came to lie in its interval, which is meant to be 0.9.
        calibration: how far the mean probability may lie from the share that was viral.
        auc: how far ROC-AUC may lie below that of the scorecard.
        unknown: greatest share of posts that are unlike anything that the model was trained on.

    Raises:
        ConfigError: one is no share, or the first two are in the wrong order.
    """

    coverage: tuple[float, float] = (0.80, 0.97)
    calibration: float = 0.05
    auc: float = 0.05
    unknown: float = 0.10

    def __post_init__(self) -> None:
        for name, value in (("calibration", self.calibration), ("auc", self.auc), ("unknown", self.unknown)):
            if not 0 <= value <= 1:
                raise ConfigError(f"the limit of {name} is {value:g}: it must be between 0 and 1")
        if not 0 <= self.coverage[0] < self.coverage[1] <= 1:
            least, greatest = self.coverage
            raise ConfigError(f"coverage between {least:g} and {greatest:g} cannot be: give the least, then the most")


@dataclass(frozen=True)
class Alarm:
    """One figure of one window beyond its limit, and that as a sentence."""

    figure: str
    first: str
    last: str
    sentence: str


def beyond(figures: Mapping[str, Estimate], limits: Limits, reference: Estimate | None) -> Iterator[tuple[str, str]]:
    """The figures whose whole interval lies beyond a limit, each with what is wrong.

    Args:
        figures: those of `drift.Window`.
        limits: of the alarms.
        reference: ROC-AUC of the scorecard; None: nothing to have fallen from.
    """
    for found in (_coverage, _calibration, _unknown):
        yield from found(figures, limits)
    yield from _auc(figures["roc_auc"], limits, reference)


def _coverage(figures: Mapping[str, Estimate], limits: Limits) -> Iterator[tuple[str, str]]:
    (least, greatest), covered = limits.coverage, figures["coverage"]
    told = f"{_share(covered)} of the intervals hold what came"
    if covered.high is not None and covered.high < least:
        yield "coverage", f"{told}, less than {percent(least)}: they are too narrow"
    if covered.low is not None and covered.low > greatest:
        yield "coverage", f"{told}, more than {percent(greatest)}: they are too wide"


def _calibration(figures: Mapping[str, Estimate], limits: Limits) -> Iterator[tuple[str, str]]:
    apart = figures["calibration"]
    if _outside(apart, limits.calibration):
        said, came = (100 * _value(figures[name]) for name in ("predicted", "happened"))
        many = "many" if said > came else "few"
        yield (
            "calibration",
            f"{said:.1f} % were said to be viral and {came:.1f} % were, so too {many} were promised: the gap of "
            f"{_points(apart)} points is beyond {100 * limits.calibration:g}",
        )


def _unknown(figures: Mapping[str, Estimate], limits: Limits) -> Iterator[tuple[str, str]]:
    strange = figures.get("unknown", Estimate(None))
    if strange.low is not None and strange.low > limits.unknown:
        yield "unknown", f"{_share(strange)} are unlike the training posts, more than {percent(limits.unknown)}"


def _auc(auc: Estimate, limits: Limits, reference: Estimate | None) -> Iterator[tuple[str, str]]:
    fallen = gap(auc, reference) if reference else Estimate(None)
    if fallen.high is not None and fallen.high < -limits.auc:
        yield (
            "roc_auc",
            f"ROC-AUC is {_value(auc):.3f}, where the scorecard has {_value(reference):.3f}: it fell by more than "
            f"{limits.auc:g}",
        )


def _outside(estimate: Estimate, limit: float) -> bool:
    low, high = estimate.low, estimate.high
    return low is not None and high is not None and (low > limit or high < -limit)


def _share(share: Estimate) -> str:
    """A share with its interval."""
    low, high = (f"{100 * _number(end):.1f}" for end in (share.low, share.high))
    return f"{100 * _value(share):.1f} % ({low} to {high})"


def _points(apart: Estimate) -> str:
    """A difference of shares in percentage points, with its interval."""
    low, high = (f"{100 * _number(end):+.1f}" for end in (apart.low, apart.high))
    return f"{100 * _value(apart):+.1f} ({low} to {high})"


def _value(estimate: Estimate | None) -> float:
    return _number(estimate.value if estimate else None)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
