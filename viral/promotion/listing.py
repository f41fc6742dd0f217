"""The models of a root as `viral models list` and `show` tell of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.scorecard import MAIN_METRICS, read_metrics
from viral.promotion.changelog import Changelog, changelog_lines, load_changelog
from viral.registry.promotions import CHAMPION, Promotion, latest_promotion, promotions
from viral.registry.registry import SAVED_AT, Registry
from viral.storage.store import Store

_OF_A_TRAINING = {"losses", "weights_sha256", SAVED_AT, "notes", "epochs", "best_epoch"}
"""Parts of a card that differ each time, or that are shown by themselves."""
_LONGEST = 60  # characters of a value in the list of changes


@dataclass(frozen=True)
class ModelSummary:
    """One version in the list. `figures` are those of `MAIN_METRICS`, none where it was not evaluated."""

    model: str
    champion: bool
    saved_at: str | None
    rows: int | None
    figures: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelDetails:
    """One version: what it is made of, how good it is, its promotions, and what changed since the version before.

    `changelog` says why it was made, where `viral evaluate --refit` made it.
    """

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
    load_changelog: Changelog | None = None


def list_models(store: Store) -> Iterator[ModelSummary]:
    """Every version of every model, by name, oldest first."""
    registry = Registry(store)
    for name in registry.names():
        promoted = latest_promotion(store, name)
        for version in registry.versions(name):
            card, found = registry.card(name, version), read_metrics(store, name, version)
            yield ModelSummary(
                model=f"{name}/{version}",
                champion=promoted is not None and promoted.version == version,
                saved_at=card.get(SAVED_AT),
                rows=card.get("rows"),
                figures={figure: found[figure].value for figure in MAIN_METRICS if figure in found},
            )


def describe_model(store: Store, reference: str) -> ModelDetails:
    """One version. Raises TableError: there is no such model."""
    registry = Registry(store)
    name, version = registry.resolve(reference)
    card, found = registry.card(name, version), read_metrics(store, name, version)
    promoted, older = promotions(store, name), [each for each in registry.versions(name) if each < version]
    changes: list[str] = []
    if older:
        known = read_metrics(store, name, older[-1])
        changes = [*_changes(registry.card(name, older[-1]), card), *_changes(_values(known), _values(found))]
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
        figures=found,
        promotions=[each for each in promoted if each.version == version],
        before=f"{name}/{older[-1]}" if older else None,
        changes=changes,
        changelog=load_changelog(store, name, version),
    )


def list_lines(rows: list[ModelSummary]) -> Iterator[str]:
    """The list for people."""
    width = max((len(row.model) for row in rows), default=5)
    yield f"{'model':<{width}}  {'':<8}  {'saved (UTC)':<16}  {'rows':>9}  " + "  ".join(
        f"{name:>8}" for name in MAIN_METRICS
    )
    for row in rows:
        told = "  ".join(f"{_number(row.figures.get(name)):>8}" for name in MAIN_METRICS)
        when = (row.saved_at or "-")[:16].replace("T", " ")
        count = "-" if row.rows is None else str(row.rows)
        yield f"{row.model:<{width}}  {CHAMPION if row.champion else '':<8}  {when:<16}  {count:>9}  {told}"


def show_lines(row: ModelDetails) -> Iterator[str]:
    """One version for people."""
    told: dict[str, Any] = {name: value for name, value in asdict(row).items() if isinstance(value, str | int | None)}
    told |= {"label": [f"{name}: {value}" for name, value in row.label.items()]}
    told |= {"sources": row.sources, "notes": row.notes}
    told |= {"figures": [f"{name}: {estimate_line(each)}" for name, each in row.figures.items()]}
    told |= {"promotions": [promotion_line(each) for each in row.promotions]}
    told |= {f"changed since {row.before}": row.changes} if row.before else {}
    told.pop("changelog", None)
    told |= {"changelog": list(changelog_lines(row.changelog))} if row.changelog else {}
    told.pop("before")
    width = max(map(len, told))
    for name, value in told.items():
        for place, line in enumerate(value if isinstance(value, list) and value else [value]):
            yield f"{'' if place else name.replace('_', ' '):<{width}}  {line or '-'}"


def estimate_line(estimate: Estimate) -> str:
    """A figure with its interval."""
    if estimate.low is None or estimate.high is None:
        return _number(estimate.value)
    return f"{_number(estimate.value)} ({_number(estimate.low)} to {_number(estimate.high)})"


def promotion_line(promotion: Promotion) -> str:
    """When a version was promoted, after which one, and by what right."""
    after = f", after version {promotion.previous}" if promotion.previous else ", the first champion"
    gain = f", {promotion.metric} {said(promotion.gain)}" if promotion.gain else ""
    forced = f", forced: {promotion.forced}" if promotion.forced else ""
    return f"{promotion.when}{f' by {promotion.by}' if promotion.by else ''}{after}{gain}{forced}"


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    one, other = (_flat({key: card[key] for key in card if key not in _OF_A_TRAINING}) for card in (before, after))
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return [f"{name}: {_short(one.get(name))} → {_short(other.get(name))}" for name in names]


def _flat(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested objects as one, with their names joined by dots."""
    flat: dict[str, Any] = {}
    for name, each in value.items():
        flat |= _flat(each, f"{before}{name}.") if isinstance(each, Mapping) else {f"{before}{name}": each}
    return flat


def _values(estimates: Mapping[str, Estimate]) -> dict[str, str]:
    return {name: _number(each.value) for name, each in estimates.items()}


def _feature_set(card: Mapping[str, Any]) -> str | None:
    chosen = card.get("feature_set")
    return f"{chosen.get('name')}-{chosen.get('fingerprint')}" if chosen else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _short(value: Any) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
