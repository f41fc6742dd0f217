"""Promotion of a version to champion, if it beats the previous champion or if forced with a reason."""

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
MIN_AUTHORS = 10  # the interval is bootstrapped over authors of test posts: with fewer it is too narrow


@dataclass(frozen=True)
class PromotionPolicy:
    """Requirement for a promotion: the interval of the gain in `metric` lies above `margin`.

    With an `override_reason` a version is promoted whatever its gain; the reason is stored with the promotion.
    """

    metric: str = METRIC
    margin: float = 0.0
    override_reason: str | None = None
    resamples: int = 1000  # 50 of them are below the 5 % quantile

    def __post_init__(self) -> None:
        if self.metric not in DECISIVE_METRICS:
            raise ConfigError(f"models are not compared by {self.metric!r}: choose from {', '.join(DECISIVE_METRICS)}")
        if not self.margin >= 0:
            raise ConfigError(f"a margin of {self.margin:g} would accept worse models: use --force with a reason")
        if self.override_reason is not None and not self.override_reason.strip():
            raise ConfigError("--force needs a reason: it is stored with the promotion")


def promote(store: Store, reference: str, policy: PromotionPolicy) -> Promotion:
    """Make a version the champion of its name; writes nothing if it already is.

    If another process promotes a version at the same time, the comparison is repeated with the new champion.

    Raises:
        PromotionError: its gain over the champion is too small or unknown.
        TableError: the model does not exist, or its weights are damaged.
    """
    registry = Registry(store)
    model = registry.load(reference)
    # Until nobody else has promoted a version between the comparison and the record of it.
    while True:
        previous = latest_promotion(store, model.name)
        if previous and previous.version == model.version:
            return previous
        promotion = Promotion(
            number=previous.number + 1 if previous else 1,
            version=model.version,
            previous=previous.version if previous else None,
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            by=_account(),
            metric=policy.metric,
            margin=policy.margin,
            gain=_checked_gain(registry, model.name, model.version, previous, policy),
            override_reason=policy.override_reason,
        )
        if record(store, model.name, promotion):
            return promotion


def compare_versions(
    registry: Registry, first: tuple[str, int], second: tuple[str, int], metrics: tuple[str, ...], resamples: int
) -> Comparison:
    """Compare two versions on the test posts of both; both need predictions for the test posts of one label table.

    Raises:
        TableError: there is no such label table, or a version was not evaluated.
    """
    models = (first, second)
    labels: list[dict[str, Any]] = [registry.card(*model).get("label", {}) for model in models]
    # With equal labels, each version's own predictions are for the same posts.
    tables: list[str | None] = [None, None]
    if labels[0] != labels[1]:
        tables = _label_tables(registry.store, models, [str(label.get("name")) for label in labels])
    predictions = [
        test_predictions.read(registry.store, *model, label=table) for model, table in zip(models, tables, strict=True)
    ]
    return compare(*predictions, names=metrics, resamples=resamples)


def _label_tables(store: Store, models: tuple[tuple[str, int], tuple[str, int]], labels: list[str]) -> list[str | None]:
    """Select the label table for each model; None: its own. `viral drift --refit` predicts further tables."""
    if test_predictions.exists(store, *models[1], labels[0]):
        return [None, labels[0]]
    if test_predictions.exists(store, *models[0], labels[1]):
        return [labels[1], None]
    first, second = (f"{name}/{version}" for name, version in models)
    raise TableError(f"{first} and {second} were trained on different labels: train both on the same")


def _checked_gain(
    registry: Registry, name: str, version: int, previous: Promotion | None, policy: PromotionPolicy
) -> Gain | None:
    """Compute the gain over the champion, if any. Raises PromotionError if it is too small, unless overridden."""
    try:
        if previous is None:
            test_predictions.read(registry.store, name, version)  # fails if the version was not evaluated
            return None
        pair = (name, version), (name, previous.version)
        # On the posts that both were tested on: paired, so that easy posts favour neither.
        gain = _gain(compare_versions(registry, *pair, (policy.metric,), policy.resamples), policy.metric)
    except TableError as error:
        if policy.override_reason is None:
            raise PromotionError(f"{name}/{version} is not promoted: {error}") from error
        return None
    if policy.override_reason is None:
        _check(f"{name}/{version}", f"the {CHAMPION} {name}/{previous.version}", gain, policy)
    return gain


def _gain(comparison: Comparison, metric: str) -> Gain:
    difference = comparison.figures[metric].difference
    value, low, high = difference.value, difference.low, difference.high
    # An error that falls is a gain: turn value and interval around, and exchange the ends.
    if GLOSSARY[metric].better != "higher":
        value, high, low = (None if bound is None else 0.0 - bound for bound in (value, low, high))
    return Gain(value, low, high, comparison.posts, comparison.authors)


def _check(version: str, champion: str, gain: Gain, policy: PromotionPolicy) -> None:
    sample = f"on {gain.posts} test posts by {gain.authors} authors"
    if gain.authors < MIN_AUTHORS:
        raise PromotionError(
            f"{version} is not promoted: the comparison needs at least {MIN_AUTHORS} authors, but is {sample}; "
            "--force 'reason' promotes it anyway"
        )
    # The whole interval must lie above the margin: a version is not promoted by chance.
    if gain.low is None or gain.low <= policy.margin:
        raise PromotionError(
            f"{version} is not promoted: its gain over {champion} in {policy.metric} is {format_gain(gain)} {sample}, "
            f"and the lower end is not above {policy.margin:g}; --force 'reason' promotes it anyway"
        )


def format_gain(gain: Gain) -> str:
    """Format a gain with its interval."""
    if gain.value is None:
        return "undefined"
    interval = f" ({gain.low:+.4f} to {gain.high:+.4f})" if gain.low is not None and gain.high is not None else ""
    return f"{gain.value:+.4f}{interval}"


def _account() -> str | None:
    with suppress(OSError, KeyError):  # a container's user may have no name
        return getpass.getuser()
    return None
