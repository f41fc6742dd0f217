"""Promotions of model versions to champion, one small JSON file each, written once.

The newest promotion defines `NAME@champion` for all readers of the root. It is not read from MLflow: scoring and
serving must not depend on a server that may be down.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from viral.storage.store import Store

CHAMPION = "champion"  # the only alias


@dataclass(frozen=True)
class Gain:
    """Improvement of one model over another by a metric: positive is better, also for metrics to minimise.

    `low` and `high` are the ends of the paired interval; None if the metric is undefined in too many resamples.
    `posts` and `authors` count the test posts shared by both models, and their authors.
    """

    value: float | None
    low: float | None
    high: float | None
    posts: int
    authors: int


@dataclass(frozen=True)
class Promotion:
    """One promotion, numbered from 1: the promoted version, and that of the previous champion (None for the first).

    Attributes:
        when: time in ISO 8601, UTC.
        by: name of the user's account, if any.
        metric: metric of the comparison.
        margin: threshold for the lower end of the gain.
        gain: gain over the previous champion; None without one, or if they cannot be compared.
        override_reason: reason for a forced promotion; stored as `forced`.
    """

    number: int
    version: int
    previous: int | None
    when: str
    by: str | None
    metric: str
    margin: float
    gain: Gain | None = None
    override_reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the stored form, as plain JSON."""
        fields = asdict(self)
        return fields | {"forced": fields.pop("override_reason")}


def promotions(store: Store, name: str) -> list[Promotion]:
    """Read all promotions of a model, oldest first."""
    return [_read(store, name, number) for number in _numbers(store, name)]


def latest_promotion(store: Store, name: str) -> Promotion | None:
    """Read the latest promotion; None if no version was promoted."""
    return next(newest_first(store, name), None)


def newest_first(store: Store, name: str) -> Iterator[Promotion]:
    """Iterate over the promotions of a model, newest first, reading on demand."""
    return (_read(store, name, number) for number in reversed(_numbers(store, name)))


def record(store: Store, name: str, promotion: Promotion) -> bool:
    """Write a promotion under its number; False if another process has taken the number."""
    return store.write_new(_key(name, promotion.number), json.dumps(promotion.to_dict(), indent=1).encode())


def _numbers(store: Store, name: str) -> list[int]:
    keys = (info.key for info in store.objects(f"models/{name}/promotions"))
    stems = (key.rpartition("/")[2].removesuffix(".json") for key in keys)
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def _read(store: Store, name: str, number: int) -> Promotion:
    fields: dict[str, Any] = json.loads(store.read(_key(name, number)))
    gain, reason = fields.pop("gain"), fields.pop("forced", None)
    return Promotion(**fields, gain=Gain(**gain) if gain else None, override_reason=reason)


def _key(name: str, number: int) -> str:
    return f"models/{name}/promotions/{number:04d}.json"
