"""Times: epochs, ISO 8601, numeric dates in a given order, dates and ages in words."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from viral.sources.settings import ReadSettings
from viral.sources.values import Faults, ParsedColumn, ParseError, find_faults, parse_each, strip_nulls
from viral.tables.schemas import TIMESTAMP

_NUMBER = r"^[0-9]+(?:\.[0-9]+)?(?:[eE]\+?[0-9]{1,2})?$"  # epoch, perhaps written as a float
_DATE = r"^(?:19|20)[0-9]{6}$"  # yt-dlp's upload_date
_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T].+)?$"  # the cast checks the time of day
_IN_FILE_NAME = r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[_T ]([0-9]{2})-([0-9]{2})-([0-9]{2})(?:-([0-9]{3}))?(?:_UTC|Z)?$"
_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$"  # Z, +01, +0100 or +01:00
_CLOCK = r"[ T][0-9]{2}:"  # a zone needs a time: `-05` also ends a date
_DAY_ALONE = r"^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|(?:19|20)[0-9]{6}|[0-9]{1,4}[./][0-9]{1,2}[./][0-9]{1,4}\.?)$"
_MIN_MILLISECONDS = 1e11  # as seconds, this is the year 5138; as milliseconds, 1973: no post is from either
_MIN_MICROSECONDS = 1e14
_FIRST = datetime(1990, 1, 1, tzinfo=UTC)  # before any platform; an Arrow scalar would import pandas
_LAST = datetime(2100, 1, 1, tzinfo=UTC)  # later times are misread numbers
_NUMERIC_DATE = re.compile(
    r"(\d{1,4})[/.\-](\d{1,2})[/.\-](\d{1,4})\.?"
    r"(?:,?[ T]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)? ?([AaPp])?\.?(?:[Mm]\.?)?)?"
)
_AGE_DIGITS = re.compile(r"\d|(?:^|\b)(?:an?|one|un|una|une|ein|eine[nmr]?|yesterday|today|just now)\b", re.IGNORECASE)
_YEAR_DIGITS = re.compile(r"(?:19|20)\d\d")
_NO_POST = "is a time before 1990 or after 2100"
_CENTURY = 100  # `19` in a date is 2019


def parse_times(raw: pa.Array, settings: ReadSettings | None = None) -> ParsedColumn:
    """Parse epochs (seconds to microseconds), ISO 8601, `YYYYMMDD`, numeric dates, or words to timestamp[us].

    A numeric date such as `3/4/23` needs the order of `settings.dates`, unless it begins with the year. Ages like "3
    months ago" count back from `settings.scraped_at`. Times without a zone are of `settings.zone`, or UTC. A time
    before 1990 or after 2100 is a fault: it is another number, or a zero that stands for a missing time. Returns
    timestamp[us, UTC] (N,) and the faults.
    """
    settings = settings or ReadSettings()
    # A Parquet file may hold times as such: nothing to parse.
    if pa.types.is_timestamp(raw.type):
        zoned = bool(raw.type.tz)
        value = raw.cast(TIMESTAMP, safe=False) if zoned else _localise(raw.cast(pa.timestamp("us")), settings.zone)
        return _within(value, raw, pc.is_valid(raw), {})
    text = strip_nulls(raw)
    # The two forms of nearly all files, by whole columns; only the rest is parsed value by value.
    value = pc.coalesce(_iso(text, settings.zone), _epoch(text))
    rest = pc.and_(pc.is_valid(text), pc.is_null(value))
    faults: Faults = {}
    if pc.any(rest, min_count=0).as_py():
        others, faults = parse_each(_where(rest, text), lambda word: _read(word, settings), pa.timestamp("us"))
        value = pc.coalesce(value, _localise(others, settings.zone))
    return _within(value, text, pc.is_valid(text), faults)


def mark_inexact(raw: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Mark the texts that name a day without a time, and those that are ages in words, bool (N,) each."""
    if pa.types.is_timestamp(raw.type):
        never = pa.array([False] * len(raw), pa.bool_())
        return never, never
    text = strip_nulls(raw)
    day = pc.fill_null(pc.match_substring_regex(text, _DAY_ALONE), False)
    simple = pc.or_(pc.match_substring_regex(text, _NUMBER), pc.match_substring_regex(text, r"[0-9]:[0-9]{2}"))
    dated = pc.or_(pc.or_(day, simple), pc.match_substring_regex(text, _YEAR_DIGITS.pattern))
    return day, pc.fill_null(pc.invert(dated), False)


def _within(value: pa.Array, given: pa.Array, is_given: pa.Array, faults: Faults) -> ParsedColumn:
    good = pc.fill_null(pc.and_(pc.greater_equal(value, _FIRST), pc.less(value, _LAST)), False)
    bad = pc.and_(is_given, pc.invert(good))
    found = find_faults(given.cast(pa.string()), bad, _not_a_time)
    return pc.if_else(good, value, pa.scalar(None, TIMESTAMP)), {**found, **faults}


def _epoch(text: pa.Array) -> pa.Array:
    number = _where(pc.match_substring_regex(text, _NUMBER), text).cast(pa.float64())
    seconds = pc.if_else(pc.less(number, _MIN_MILLISECONDS), number, pc.divide(number, 1e3))
    seconds = pc.if_else(pc.less(number, _MIN_MICROSECONDS), seconds, pc.divide(number, 1e6))
    possible = pc.less(seconds, _MIN_MILLISECONDS)  # larger numbers would overflow int64
    # Rounded: float64 holds today's microseconds, but a product may end in a fraction.
    micros = pc.round(pc.multiply(pc.if_else(possible, seconds, pa.scalar(None, pa.float64())), 1e6))
    return micros.cast(pa.int64()).cast(TIMESTAMP)


def _iso(text: pa.Array, zone: str | None) -> pa.Array:
    text = pc.replace_substring_regex(text, _IN_FILE_NAME, r"\1T\2:\3:\4.\5Z")
    text = pc.replace_substring(text, ".Z", "Z")  # no milliseconds in the name
    dashed = pc.replace_substring_regex(text, r"^([0-9]{4})([0-9]{2})([0-9]{2})$", r"\1-\2-\3")
    dated = pc.if_else(pc.match_substring_regex(text, _DATE), dashed, text)
    # Arrow knows `Z` alone as a name of UTC.
    zulu = pc.replace_substring_regex(dated, r"\s*(?:UTC|GMT|z)$", "Z")
    iso = _where(pc.match_substring_regex(zulu, _ISO), zulu)
    zoned = pc.and_(pc.match_substring_regex(iso, _ZONE), pc.match_substring_regex(iso, _CLOCK))
    try:
        local = _localise(_where(pc.invert(zoned), iso).cast(pa.timestamp("us")), zone)
        return pc.coalesce(_where(zoned, iso).cast(TIMESTAMP), local)
    except pa.ArrowInvalid:  # one impossible date fails the whole column: parse value by value
        times = [_parse_iso(value) for value in iso.to_pylist()]
        local = pa.array([time if time and not time.tzinfo else None for time in times], pa.timestamp("us"))
        exact = pa.array([time.astimezone(UTC) if time and time.tzinfo else None for time in times], TIMESTAMP)
        return pc.coalesce(exact, _localise(local, zone))


def _parse_iso(value: str | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(value or "")
        return time.astimezone(UTC) if time.tzinfo else time
    except (ValueError, OverflowError):  # OverflowError: outside years 1 to 9999 in UTC
        return None


def _localise(local: pa.Array, zone: str | None) -> pa.Array:
    """Convert times of a zone to UTC; of a doubled hour the first, of a skipped one the next time that exists."""
    if zone is None:
        return local.cast(TIMESTAMP)
    return pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="latest").cast(TIMESTAMP)


def _read(text: str, settings: ReadSettings) -> datetime:
    if match := _NUMERIC_DATE.fullmatch(" ".join(text.split())):
        return _numeric(match, settings.dates)
    if text.isdigit():
        raise ParseError(_NO_POST)
    if re.fullmatch(r"[\d\s.,:/\-]+", text):
        raise ParseError("is not a time")
    return _in_words(text, settings.scraped_at)


def _numeric(match: re.Match[str], order: str | None) -> datetime:
    first, second, third, hour, minute, second_of_minute, half = match.groups()
    if len(first) == 4:
        order = "ymd"
    if order is None:
        raise ParseError("is a date in an unknown order: name it (--dates mdy or dmy)")
    parts = dict(zip(order, (int(first), int(second), int(third)), strict=True))
    year = parts["y"] + (2000 if parts["y"] < _CENTURY else 0)
    hours = int(hour or 0)
    if half:
        # 12 am is hour 0 and 12 pm is hour 12; other hours after noon grow by 12.
        hours = hours % 12 + (12 if half in "Pp" else 0)
    try:
        return datetime(year, parts["m"], parts["d"], hours, int(minute or 0), int(second_of_minute or 0))
    except ValueError:
        raise ParseError(f"is not a date in the order {order}") from None


def _in_words(text: str, scraped_at: datetime | None) -> datetime:
    """Parse a date with the name of its month, or an age relative to the time of scraping."""
    has_year = bool(_YEAR_DIGITS.search(text))
    if not has_year and not _AGE_DIGITS.search(text):
        raise ParseError("is not a time")
    if not has_year and scraped_at is None:
        raise ParseError("is an age: name the time of scraping (--scraped-at)")
    found = _dateparser(
        text, scraped_at.astimezone(UTC).replace(tzinfo=None) if scraped_at else None, absolute=has_year
    )
    if found is None:
        raise ParseError("is not a time")
    return found


@lru_cache(maxsize=10_000)  # 1.3 ms per text, and few distinct ages
def _dateparser(text: str, base: datetime | None, *, absolute: bool) -> datetime | None:
    import dateparser

    settings = {
        "RETURN_AS_TIMEZONE_AWARE": False,
        "PREFER_DATES_FROM": "past",
        "PARSERS": ["absolute-time"] if absolute else ["relative-time"],
        **({"REQUIRE_PARTS": ["day", "month", "year"]} if absolute else {"RELATIVE_BASE": base}),
    }
    found: datetime | None = dateparser.parse(text, settings=settings)
    # An age that lies in the future was misread.
    return found if found is None or base is None or absolute or found <= base else None


def _where(mask: pa.Array, text: pa.Array) -> pa.Array:
    return pc.if_else(mask, text, pa.scalar(None, pa.string()))


def _not_a_time(value: str) -> str:
    return _NO_POST if value[:1].isdigit() else "is not a time"
