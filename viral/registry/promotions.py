"""Which version of a model is its champion, and why: one small record a promotion in the root, written once.

The newest record is what `NAME@champion` means, for all who read the root. MLflow is told of it, but nobody asks it:
scoring and serving do not depend on a server that may be down.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from viral.storage.store import Store

CHAMPION = "champion"
"""The one alias that there is."""


@dataclass(frozen=True)
class Gain:
    """How much better a model is than another by one figure: above 0 is better, whichever way the figure goes.

    `low` and `high` are the ends of the paired interval; None where too few resamples define the figure. `posts` and
    `authors` are those that both models were tested on.
    """

    value: float | None
    low: float | None
    high: float | None
    posts: int
    authors: int


@dataclass(frozen=True)
class Promotion:
    """One promotion.

    Attributes:
        number: counts up, from 1.
        version: the champion from then on.
        previous: the champion before; None for the first.
        when: ISO 8601, UTC.
        by: the name of the account that did it, where it has one.
        metric: what the two were compared by.
        margin: what the lower end of the gain had to be above.
        gain: over the champion before; None where there was none, or where they cannot be compared.
        forced: the reason that was given, if it was forced.
    """

    number: int
    version: int
    previous: int | None
    when: str
    by: str | None
    metric: str
    margin: float
    gain: Gain | None = None
    forced: str | None = None


def promotions(store: Store, name: str) -> list[Promotion]:
    """All promotions of a model, oldest first."""
    return [_read(store, name, number) for number in _numbers(store, name)]


def latest_promotion(store: Store, name: str) -> Promotion | None:
    """The promotion that counts; None where no version was ever promoted."""
    return next(newest_first(store, name), None)


def newest_first(store: Store, name: str) -> Iterator[Promotion]:
    """The promotions of a model from the newest back, each read as it is asked for."""
    return (_read(store, name, number) for number in reversed(_numbers(store, name)))


def record(store: Store, name: str, promotion: Promotion) -> bool:
    """Write a promotion under its number; False: another has taken that number meanwhile, and this one is not made."""
    return store.write_new(_key(name, promotion.number), json.dumps(asdict(promotion), indent=1).encode())


def _numbers(store: Store, name: str) -> list[int]:
    keys = (info.key for info in store.objects(f"models/{name}/promotions"))
    stems = (key.rpartition("/")[2].removesuffix(".json") for key in keys)
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def _read(store: Store, name: str, number: int) -> Promotion:
    written: dict[str, Any] = json.loads(store.read(_key(name, number)))
    gain = written.pop("gain")
    return Promotion(**written, gain=Gain(**gain) if gain else None)


def _key(name: str, number: int) -> str:
    return f"models/{name}/promotions/{number:04d}.json"
