"""Data and output of `viral models list` and `viral models show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.scorecard import MAIN_METRICS, read_metrics
from viral.promotion.champion import format_gain
from viral.promotion.changelog import Changelog, changelog_lines, load_changelog
from viral.registry.promotions import CHAMPION, Promotion, latest_promotion, promotions
from viral.registry.registry import SAVED_AT, Registry
from viral.storage.store import Store

_NOT_COMPARED = {"losses", "weights_sha256", SAVED_AT, "notes", "epochs", "best_epoch"}
"""Entries of a card that differ between any two trainings, or are shown separately."""
_MAX_LENGTH = 60  # characters of a value in the list of changes, so that two values fit on a line


@dataclass(frozen=True)
class ModelSummary:
    """A version in the list; `figures` are the values of `MAIN_METRICS`, empty if it was not evaluated."""

    model: str
    champion: bool
    saved_at: str | None
    rows: int | None
    figures: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelDetails:
    """A version's data, metrics and promotions, the changes since the version before, and its changelog if a refit."""

    model: str
    champion: str | None
    saved_at: str | None
    kind: str | None
    label: dict[str, Any]
    feature_set: str | None
    rows: int | None
    data_hash: str | None
    code_version: str | None
    sources: list[str]
    notes: list[str]
    figures: dict[str, Estimate]
    promotions: list[Promotion]
    before: str | None
    changes: list[str]
    changelog: Changelog | None = None


def list_models(store: Store) -> Iterator[ModelSummary]:
    """Summarise all versions of all models, by name, oldest first."""
    registry = Registry(store)
    for name in registry.names():
        promotion = latest_promotion(store, name)
        for version in registry.versions(name):
            card, metrics = registry.card(name, version), read_metrics(store, name, version)
            yield ModelSummary(
                model=f"{name}/{version}",
                champion=promotion is not None and promotion.version == version,
                saved_at=card.get(SAVED_AT),
                rows=card.get("rows"),
                figures={metric: metrics[metric].value for metric in MAIN_METRICS if metric in metrics},
            )


def describe_model(store: Store, reference: str) -> ModelDetails:
    """Collect the details of a version. Raises TableError if the model does not exist."""
    registry = Registry(store)
    name, version = registry.resolve(reference)
    card, metrics = registry.card(name, version), read_metrics(store, name, version)
    promoted, older = promotions(store, name), [number for number in registry.versions(name) if number < version]
    changes: list[str] = []
    # Compared with the version before it, not with the champion: the list shows what was changed in between.
    if older:
        older_metrics = read_metrics(store, name, older[-1])
        changes = _changes(registry.card(name, older[-1]), card) + _changes(_values(older_metrics), _values(metrics))
    return ModelDetails(
        model=f"{name}/{version}",
        champion=f"{name}/{promoted[-1].version}" if promoted else None,
        saved_at=card.get(SAVED_AT),
        kind=card.get("kind"),
        label=_flat(card.get("label", {})),
        feature_set=_feature_set(card),
        rows=card.get("rows"),
        data_hash=card.get("data_hash"),
        code_version=card.get("code_version"),
        sources=card.get("sources", []),
        notes=card.get("notes", []),
        figures=metrics,
        promotions=[promotion for promotion in promoted if promotion.version == version],
        before=f"{name}/{older[-1]}" if older else None,
        changes=changes,
        changelog=load_changelog(store, name, version),
    )


def list_lines(models: list[ModelSummary]) -> Iterator[str]:
    """Format a list of models as a table."""
    width = max((len(model.model) for model in models), default=5)
    rows = [("model", "", "saved (UTC)", "rows", list(MAIN_METRICS))]
    for model in models:
        metrics = [_number(model.figures.get(name)) for name in MAIN_METRICS]
        saved_at = (model.saved_at or "-")[:16].replace("T", " ")
        count = "-" if model.rows is None else str(model.rows)
        rows.append((model.model, CHAMPION if model.champion else "", saved_at, count, metrics))
    for name, champion, saved_at, count, metrics in rows:
        yield f"{name:<{width}}  {champion:<8}  {saved_at:<16}  {count:>9}  " + "  ".join(f"{m:>8}" for m in metrics)


def show_lines(model: ModelDetails) -> Iterator[str]:
    """Format the details of a version as lines of text."""
    rows: dict[str, Any] = {name: value for name, value in vars(model).items() if isinstance(value, str | int | None)}
    rows |= {"label": [f"{name}: {value}" for name, value in model.label.items()]}
    rows |= {"sources": model.sources, "notes": model.notes}
    rows |= {"figures": [f"{name}: {estimate_line(estimate)}" for name, estimate in model.figures.items()]}
    rows |= {"promotions": [promotion_line(promotion) for promotion in model.promotions]}
    rows |= {f"changed since {model.before}": model.changes} if model.before else {}
    rows.pop("changelog", None)
    rows |= {"changelog": list(changelog_lines(model.changelog))} if model.changelog else {}
    rows.pop("before")
    width = max(map(len, rows))
    for name, value in rows.items():
        for index, line in enumerate(value if isinstance(value, list) and value else [value]):
            # The name stands only before the first line of a list.
            yield f"{'' if index else name.replace('_', ' '):<{width}}  {line or '-'}"


def estimate_line(estimate: Estimate) -> str:
    """Format a metric with its interval."""
    if estimate.low is None or estimate.high is None:
        return _number(estimate.value)
    return f"{_number(estimate.value)} ({_number(estimate.low)} to {_number(estimate.high)})"


def promotion_line(promotion: Promotion) -> str:
    """Format time, account, previous champion and reason of a promotion."""
    by = f" by {promotion.by}" if promotion.by else ""
    after = f", after version {promotion.previous}" if promotion.previous else ", the first champion"
    gain = f", {promotion.metric} {format_gain(promotion.gain)}" if promotion.gain else ""
    forced = f", forced: {promotion.override_reason}" if promotion.override_reason else ""
    return f"{promotion.when}{by}{after}{gain}{forced}"


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    old, new = (_flat({key: card[key] for key in card if key not in _NOT_COMPARED}) for card in (before, after))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return [f"{name}: {_shorten(old.get(name))} → {_shorten(new.get(name))}" for name in names]


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested objects, joining names by dots."""
    flat: dict[str, Any] = {}
    for name, item in value.items():
        flat |= _flat(item, f"{prefix}{name}.") if isinstance(item, Mapping) else {f"{prefix}{name}": item}
    return flat


def _values(estimates: Mapping[str, Estimate]) -> dict[str, str]:
    return {name: _number(estimate.value) for name, estimate in estimates.items()}


def _feature_set(card: Mapping[str, Any]) -> str | None:
    feature_set = card.get("feature_set")
    return f"{feature_set.get('name')}-{feature_set.get('fingerprint')}" if feature_set else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _shorten(value: Any) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"
