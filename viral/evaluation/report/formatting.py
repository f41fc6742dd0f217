"""Figures and words as a page writes them."""

from __future__ import annotations

import unicodedata

_LONGEST_TEXT = 200


def number(value: float | None) -> str:
    """A figure as people write it, with about three digits that mean something."""
    if value is None:
        return "n/a"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.3f}" if size >= 0.01 or size == 0 else f"{value:.2g}"


def signed(value: float | None) -> str:
    """A difference, with its sign."""
    return f"+{number(value)}" if value is not None and value > 0 else number(value)


def percent(value: float | None) -> str:
    """A share in per cent."""
    return "n/a" if value is None else f"{100 * value:.0f} %"


def plain(text: str) -> str:
    """Text of a stranger on one line: without control and direction characters, and not endless."""
    # Cc, Cf, Cs, Co, Cn: what cannot be seen, yet may turn or hide what stands beside it.
    seen = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    line = " ".join(seen.split())
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"


def points(value: float | None) -> str:
    """A difference of shares in percentage points."""
    return "n/a" if value is None else f"{100 * value:+.0f} pp"
