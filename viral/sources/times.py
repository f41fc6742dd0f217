"""Parser of a column of times in the formats that people and programs write."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from viral.sources.values import ParsedColumn, find_faults, strip_nulls
from viral.tables.schemas import TIMESTAMP

_NUMBER = r"^[0-9]+(?:\.[0-9]+)?(?:[eE]\+?[0-9]{1,2})?$"  # epoch, perhaps written as a float
_DATE = r"^(?:19|20)[0-9]{6}$"  # yt-dlp's upload_date
_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T].+)?$"  # the cast checks the time of day
_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$"  # Z, +01, +0100 or +01:00
_CLOCK = r"[ T][0-9]{2}:"  # a zone needs a time: `-05` also ends a date
_MIN_MILLISECONDS = 1e11  # as seconds, this is the year 5138; as milliseconds, 1973: no post is from either
_FIRST = datetime(1990, 1, 1, tzinfo=UTC)  # before any platform; an Arrow scalar would import pandas
_LAST = datetime(2100, 1, 1, tzinfo=UTC)  # later times are misread numbers


def parse_times(raw: pa.Array) -> ParsedColumn:
    """Parse epoch seconds or milliseconds, ISO 8601 with or without a zone (default: UTC), or `YYYYMMDD`.

    A time before 1990 or after 2100 is a fault: it is another number, or a zero that stands for a missing time.
    Timestamps are only converted, from UTC if they have no zone. Returns timestamp[us, UTC] (N,) and the faults.
    """
    if pa.types.is_timestamp(raw.type):
        return raw.cast(TIMESTAMP, safe=False), {}
    text = strip_nulls(raw)
    value = pc.coalesce(_iso(text), _epoch(text))
    good = pc.fill_null(pc.and_(pc.greater_equal(value, _FIRST), pc.less(value, _LAST)), False)
    bad = pc.and_(pc.is_valid(text), pc.invert(good))
    return pc.if_else(good, value, pa.scalar(None, TIMESTAMP)), find_faults(text, bad, _not_a_time)


def _epoch(text: pa.Array) -> pa.Array:
    number = _where(pc.match_substring_regex(text, _NUMBER), text).cast(pa.float64())
    seconds = pc.if_else(pc.less(number, _MIN_MILLISECONDS), number, pc.divide(number, 1e3))
    possible = pc.less(seconds, _MIN_MILLISECONDS)  # larger numbers would overflow int64
    micros = pc.round(pc.multiply(pc.if_else(possible, seconds, pa.scalar(None, pa.float64())), 1e6))
    return micros.cast(pa.int64()).cast(TIMESTAMP)


def _iso(text: pa.Array) -> pa.Array:
    dashed = pc.replace_substring_regex(text, r"^([0-9]{4})([0-9]{2})([0-9]{2})$", r"\1-\2-\3")
    dated = pc.if_else(pc.match_substring_regex(text, _DATE), dashed, text)
    zulu = pc.replace_substring_regex(dated, r"\s*(?:UTC|GMT|z)$", "Z")
    iso = _where(pc.match_substring_regex(zulu, _ISO), zulu)
    zoned = pc.and_(pc.match_substring_regex(iso, _ZONE), pc.match_substring_regex(iso, _CLOCK))
    try:
        local = _where(pc.invert(zoned), iso).cast(pa.timestamp("us")).cast(TIMESTAMP)  # without a zone: UTC
        return pc.coalesce(_where(zoned, iso).cast(TIMESTAMP), local)
    except pa.ArrowInvalid:  # one impossible date fails the whole column: parse value by value
        return pa.array([_parse_iso(value) for value in iso.to_pylist()], TIMESTAMP)


def _parse_iso(value: str | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(value or "")
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # OverflowError: outside years 1 to 9999 in UTC
        return None


def _where(mask: pa.Array, text: pa.Array) -> pa.Array:
    return pc.if_else(mask, text, pa.scalar(None, pa.string()))


def _not_a_time(value: str) -> str:
    return "is a time before 1990 or after 2100" if value.replace(".", "").isdigit() else "is not a time"
