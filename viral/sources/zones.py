"""Zones that a text names after its time of day: `+0900`, `GMT+9`, `UTC`, `CET`."""

from __future__ import annotations

import re
from datetime import timedelta

from viral.sources.values import ParseError

# Abbreviations with one meaning. Others have several, as CST (America, China), IST (India, Ireland, Israel), BST.
_HOURS = {
    **dict.fromkeys(("Z", "UT", "UTC", "GMT", "WET"), 0),
    **dict.fromkeys(("CET", "MEZ", "WEST"), 1),
    **dict.fromkeys(("CEST", "MESZ", "EET"), 2),
    **dict.fromkeys(("EEST", "MSK"), 3),
    **dict.fromkeys(("SGT", "HKT"), 8),
    **dict.fromkeys(("JST", "KST"), 9),
    **dict.fromkeys(("EDT",), -4),  # America as in mails (RFC 5322)
    **dict.fromkeys(("EST", "CDT"), -5),
    **dict.fromkeys(("MDT",), -6),
    **dict.fromkeys(("MST", "PDT"), -7),
    **dict.fromkeys(("PST",), -8),
}
_ZONE = re.compile(
    r"(?P<clock>\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp]\.?[Mm]\b\.?)?),?"
    r" ?\(?(?:(?:UTC|GMT)? ?(?P<sign>[+\u2212-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?(?![\d:])"
    r"|(?P<name>Z|(?!(?:AM|PM)\b)[A-Z]{2,5})\b)\)?(?: \([\w ]+\))?"  # JavaScript adds the name of the zone
)
UNCLEAR_ZONE = "names a zone that has several meanings: write an offset, as +08:00, or name the zone (--zone)"
_FURTHEST = timedelta(hours=14)  # of the Line Islands


def split_zone(text: str, *, named: bool) -> tuple[str, timedelta | None]:
    """Return a text without the zone after its time of day, and the zone's offset from UTC; None if it has none.

    Args:
        text: a date with a time of day, with single blanks.
        named: whether the user named a zone, which then stands for an abbreviation of several meanings.

    Raises:
        ParseError: the abbreviation has several meanings, or the offset is no zone's.
    """
    match = _ZONE.search(text)
    if match is None:
        return text, None
    rest = f"{text[: match.start()]}{match['clock']}{text[match.end() :]}"
    if match["name"]:
        hours = _HOURS.get(match["name"])
        if hours is None and not named:
            raise ParseError(UNCLEAR_ZONE)
        return rest, None if hours is None else timedelta(hours=hours)
    offset = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"] or 0))
    if offset > _FURTHEST:
        raise ParseError("is not a time")
    return rest, offset if match["sign"] == "+" else -offset
