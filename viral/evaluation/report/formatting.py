"""Format numbers and text for a page."""

from __future__ import annotations

import unicodedata

_MAX_TEXT = 200  # characters of a caption: three or four lines of a card


def number(value: float | None) -> str:
    """Format a number with about three significant digits."""
    if value is None:
        return "n/a"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.3f}" if size >= 0.01 or size == 0 else f"{value:.2g}"


def signed(value: float | None) -> str:
    """Format a difference with its sign."""
    return f"+{number(value)}" if value is not None and value > 0 else number(value)


def percent(value: float | None) -> str:
    """Format a share in per cent."""
    return "n/a" if value is None else f"{100 * value:.0f} %"


def plain(text: str) -> str:
    """Put untrusted text on one line, without control and direction characters, cut to 200 characters."""
    # Unicode categories C* are invisible and may reverse or hide the text next to them; Z* are spaces and line ends.
    visible = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    line = " ".join(visible.split())
    return line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 1] + "…"


def points(value: float | None) -> str:
    """Format a difference of shares in percentage points."""
    return "n/a" if value is None else f"{100 * value:+.0f} pp"
