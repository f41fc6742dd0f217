"""Who may become a model's champion: a version that is better than the one before, or one forced with a reason."""

from __future__ import annotations

import getpass
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from viral.errors import ConfigError, PromotionError, TableError
from viral.evaluation import test_predictions
from viral.evaluation.model_comparison import DECISIVE_METRICS, Comparison, compare
from viral.evaluation.report.glossary import GLOSSARY
from viral.registry.promotions import CHAMPION, Gain, Promotion, latest_promotion, record
from viral.registry.registry import Registry
from viral.storage.store import Store

METRIC = "spearman"
LEAST_AUTHORS = 10
"""Of the test posts: the interval is drawn from their authors, and of fewer it is narrow by chance."""


@dataclass(frozen=True)
class PromotionPolicy:
    """What a version must show: a gain by `metric` whose interval lies above `margin`; or `forced`, a reason."""

    metric: str = METRIC
    margin: float = 0.0
    forced: str | None = None
    resamples: int = 1000

    def __post_init__(self) -> None:
        if self.metric not in DECISIVE_METRICS:
            raise ConfigError(f"a model cannot be better by {self.metric!r}: choose from {', '.join(DECISIVE_METRICS)}")
        if not self.margin >= 0:
            raise ConfigError(f"a margin of {self.margin:g} would let worse models pass: use --force with a reason")
        if self.forced is not None and not self.forced.strip():
            raise ConfigError("--force needs a reason: it is kept with the promotion")


def promote(store: Store, reference: str, rule: PromotionPolicy) -> Promotion:
    """Make a version the champion of its name; one that is it already stays it, and nothing is written.

    Of two at once none is lost: the later one is judged again, against the champion that the earlier one made.

    Raises:
        PromotionError: it is not better than the champion by more than the margin, or that cannot be told.
        TableError: there is no such model, or its weights are damaged.
    """
    registry = Registry(store)
    saved = registry.load(reference)
    while True:
        before = latest_promotion(store, saved.name)
        if before and before.version == saved.version:
            return before
        gain = _judged(registry, saved.name, saved.version, before, rule)
        promotion = Promotion(
            number=before.number + 1 if before else 1,
            version=saved.version,
            previous=before.version if before else None,
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            by=_account(),
            metric=rule.metric,
            margin=rule.margin,
            gain=gain,
            forced=rule.forced,
        )
        if record(store, saved.name, promotion):
            return promotion


def compare_versions(
    registry: Registry, one: tuple[str, int], other: tuple[str, int], names: tuple[str, ...], resamples: int
) -> Comparison:
    """Two versions on the test posts of both; of two label tables, on those of the one that both were asked about.

    Raises:
        TableError: they were trained on different labels, or one was not evaluated.
    """
    store = registry.store
    labels: list[dict[str, Any]] = [registry.card(*each).get("label", {}) for each in (one, other)]
    asked: list[str | None] = [None, None]
    if labels[0] != labels[1]:
        asked = _asked(store, (one, other), [str(label.get("name")) for label in labels])
    rows = [test_predictions.read(store, *each, label=label) for each, label in zip((one, other), asked, strict=True)]
    return compare(*rows, names=names, resamples=resamples)


def _asked(store: Store, models: tuple[tuple[str, int], tuple[str, int]], labels: list[str]) -> list[str | None]:
    """For each model the label table whose test posts it was asked about besides its own, as `--refit` does."""
    if test_predictions.exists(store, *models[1], labels[0]):
        return [None, labels[0]]
    if test_predictions.exists(store, *models[0], labels[1]):
        return [labels[1], None]
    first, second = (f"{name}/{version}" for name, version in models)
    raise TableError(f"{first} and {second} were trained on different labels: train both on the same")


def _judged(
    registry: Registry, name: str, version: int, before: Promotion | None, rule: PromotionPolicy
) -> Gain | None:
    """The gain over the champion, None where there is none to compare with. Raises PromotionError unless forced."""
    try:
        if before is None:
            test_predictions.read(registry.store, name, version)
            return None
        gain = _gain(
            compare_versions(registry, (name, version), (name, before.version), (rule.metric,), rule.resamples), rule
        )
    except TableError as error:
        if rule.forced is None:
            raise PromotionError(f"{name}/{version} is not promoted: {error}") from error
        return None
    if rule.forced is None:
        _check(f"{name}/{version}", f"the {CHAMPION} {name}/{before.version}", gain, rule)
    return gain


def _gain(found: Comparison, rule: PromotionPolicy) -> Gain:
    gap = found.figures[rule.metric].difference
    ends = (gap.low, gap.high)
    if GLOSSARY[rule.metric].better == "higher":
        return Gain(gap.value, *ends, found.posts, found.authors)
    value, high, low = (None if each is None else 0.0 - each for each in (gap.value, *ends))
    return Gain(value, low, high, found.posts, found.authors)


def _check(version: str, champion: str, gain: Gain, rule: PromotionPolicy) -> None:
    where = f"on {gain.posts} test posts by {gain.authors} authors"
    if gain.authors < LEAST_AUTHORS:
        raise PromotionError(
            f"{version} is not promoted: {where} no difference can be told, at least {LEAST_AUTHORS} authors are "
            "needed; --force 'reason' promotes it all the same"
        )
    if gain.low is None or gain.low <= rule.margin:
        raise PromotionError(
            f"{version} is not promoted: its gain over {champion} in {rule.metric} is {said(gain)} {where}, and the "
            f"lower end is not above {rule.margin:g}; --force 'reason' promotes it all the same"
        )


def format_gain(gain: Gain) -> str:
    """A gain in words, with its interval."""
    if gain.value is None:
        return "undefined"
    ends = f" ({gain.low:+.4f} to {gain.high:+.4f})" if gain.low is not None and gain.high is not None else ""
    return f"{gain.value:+.4f}{ends}"


def _account() -> str | None:
    with suppress(OSError, KeyError):  # a container's user may have no name
        return getpass.getuser()
    return None
