"""Points in time, as people and programs write them, read a column at a time."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from viral.sources.values import Values, faults, written
from viral.tables.schemas import SECONDS

_NUMBER = r"^[0-9]+(?:\.[0-9]+)?(?:[eE]\+?[0-9]{1,2})?$"
_DATE = r"^(?:19|20)[0-9]{6}$"
_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T].+)?$"
_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$"
_CLOCK = r"[ T][0-9]{2}:"
# 10^11 seconds are the year 5138, 10^11 milliseconds the year 1973: no post was made near either.
_MILLISECONDS = 1e11
_FIRST = datetime(1990, 1, 1, tzinfo=UTC)  # no Arrow scalar: one at import would load pandas
_LAST = datetime(2100, 1, 1, tzinfo=UTC)


def times(raw: pa.Array) -> Values:
    """Points in time: epoch seconds or milliseconds, ISO 8601 with or without a zone (none: UTC), or `YYYYMMDD`.

    A time outside 1990 to 2100 is a fault: it is a number misread, or a zero that stands for nothing.

    Args:
        raw: text, or timestamps that are taken as they are (without a zone: UTC).

    Returns:
        timestamp[us, UTC] (N,) and the faults.
    """
    if pa.types.is_timestamp(raw.type):
        return raw.cast(SECONDS, safe=False), {}
    given = written(raw)
    value = pc.coalesce(_iso(given), _epoch(given))
    plausible = pc.and_(pc.greater_equal(value, _FIRST), pc.less(value, _LAST))
    good = pc.fill_null(plausible, False)
    bad = pc.and_(pc.is_valid(given), pc.invert(good))
    return pc.if_else(good, value, pa.scalar(None, SECONDS)), faults(given, bad, _not_a_time)


def _epoch(given: pa.Array) -> pa.Array:
    number = _where(pc.match_substring_regex(given, _NUMBER), given).cast(pa.float64())
    seconds = pc.if_else(pc.less(number, _MILLISECONDS), number, pc.divide(number, 1e3))
    possible = pc.less(seconds, _MILLISECONDS)
    micros = pc.round(pc.multiply(pc.if_else(possible, seconds, pa.scalar(None, pa.float64())), 1e6))
    return micros.cast(pa.int64()).cast(SECONDS)


def _iso(given: pa.Array) -> pa.Array:
    dashed = pc.replace_substring_regex(given, r"^([0-9]{4})([0-9]{2})([0-9]{2})$", r"\1-\2-\3")
    dated = pc.if_else(pc.match_substring_regex(given, _DATE), dashed, given)
    named = pc.replace_substring_regex(dated, r"\s*(?:UTC|GMT|z)$", "Z")
    iso = _where(pc.match_substring_regex(named, _ISO), named)
    zoned = pc.and_(pc.match_substring_regex(iso, _ZONE), pc.match_substring_regex(iso, _CLOCK))
    try:
        local = _where(pc.invert(zoned), iso).cast(pa.timestamp("us")).cast(SECONDS)
        return pc.coalesce(_where(zoned, iso).cast(SECONDS), local)
    except pa.ArrowInvalid:  # one impossible date fails the whole column: find it the slow way
        return pa.array([_one(value) for value in iso.to_pylist()], SECONDS)


def _one(value: str | None) -> datetime | None:
    try:
        read = datetime.fromisoformat(value or "")
        return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _where(mask: pa.Array, given: pa.Array) -> pa.Array:
    return pc.if_else(mask, given, pa.scalar(None, pa.string()))


def _not_a_time(value: str) -> str:
    return "is a time before 1990 or after 2100" if value.replace(".", "").isdigit() else "is not a time"
