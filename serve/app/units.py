"""A label in the words of people: what its numbers count, and how they read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Units:
    """Units of a label.

    Attributes:
        noun: what `convert` counts, for an axis: "views".
        convert: from the label's number to that count; None: it has no other form than the number.
    """

    noun: str
    convert: Callable[[float], float] | None = None

    def value(self, score: float) -> float:
        """Return a label's number as a count."""
        return self.convert(score) if self.convert else float(score)

    def text(self, score: float) -> str:
        """Return a label's number as a text: a rounded count, or the number itself."""
        return f"{rounded(self.value(score))} {self.noun}" if self.convert else f"{score:.3g} ({self.noun})"

    def ratio(self, change: float) -> str:
        """Return a change of the label as a text: by how much the count changes, or the number itself."""
        if not self.convert:
            return f"{change:+.3g}"
        factor = math.exp(change) if self.convert is _from_log else math.exp2(change)
        return f"{100 * (factor - 1):+.0f} %" if factor < _TIMES else f"{factor:.2g} times"


_TIMES = 3.0  # from a factor of three, "3 times" reads better than "+200 %"


def _from_log(score: float) -> float:
    return max(0.0, math.expm1(min(score, _MAX_EXPONENT)))


def _from_log2(score: float) -> float:
    return max(0.0, math.exp2(min(score, _MAX_EXPONENT)) - 1)


_MAX_EXPONENT = 60.0  # far above any count; keeps a broken model from overflowing
_UNITS: Mapping[str, Units] = {
    "log_views": Units("views", _from_log),
    "log_uses": Units("uses of the sound", _from_log),
    "daily_views": Units("views per day", _from_log2),
}


def units(label: str) -> Units:
    """Return the units of a label by the name of its definition."""
    return _UNITS.get(label, Units(label.replace("_", " ")))


def rounded(value: float) -> str:
    """Return a count with two digits that matter, such as 1,200 or 3.4 million."""
    if value < 1:
        return "0" if value < 0.5 else "1"
    digits = max(0, int(math.log10(value)) - 1)
    number = round(value / 10**digits) * 10**digits
    for size, name in ((1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:.2g} {name}"
    return f"{number:,.0f}"
