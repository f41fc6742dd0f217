"""Parsers of columns of durations, booleans and text, and what all parsers share.

Each parser takes an array of text and returns the values and the faults, index → message. Empty text and the spellings
of a missing value (`nan`, `null`, `None` …) become null, without a fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

Faults = dict[int, str]
ParsedColumn = tuple[pa.Array, Faults]

# Tuples, because creating an Arrow array at import time would import pandas.
_DASHES = ("-", "--", "\u2013", "\u2014")
NULL_SPELLINGS = ("", "nan", "nat", "null", "none", "na", "n/a", "#n/a", "<na>", "undefined", "[]", *_DASHES)
_PANDAS_NULLS = ("", "nan", "NaN", "<NA>")  # written by pandas where a text was missing
_CLOCK = re.compile(r"(?:(?:(\d{1,3}):)?(\d{1,3}):)?(\d+(?:[.,]\d*)?(?:e[+-]?\d{1,2})?)", re.IGNORECASE)
_DECIMAL = r"(\d+(?:[.,]\d+)?) ?"
_UNITS = re.compile(
    rf"(?:p(?:0d)?t)?(?:{_DECIMAL}(?:h(?:ours?|rs?)?|std|stunden?|시간|小时|時間)\.?)?"
    rf" ?(?:{_DECIMAL}(?:m(?:in(?:ute[ns]?|s)?)?|분|分钟?)\.?)?"
    rf" ?(?:{_DECIMAL}(?:s(?:e[ck](?:onds?|unden?|s)?)?|초|秒)\.?)?",
    re.IGNORECASE,
)
_MILLISECONDS = re.compile(r"(\d+(?:\.\d+)?) ?ms", re.IGNORECASE)
_AFTER_CLOCK = re.compile(r"(?<=:\d\d) ?(?:s|min\.?|minutes?)$", re.IGNORECASE)  # `0:31 min` is a clock
DURATION_UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0}
_TRUE = ("true", "t", "yes", "y", "1", "1.0")
FALSE_SPELLINGS = ("false", "f", "no", "n", "0", "0.0")


class ParseError(ValueError):
    """A text is not a value of its column; the message says why. Internal to `viral.sources`."""


def strip_text(raw: pa.Array) -> pa.Array:
    """Strip white space; empty text, and what pandas writes for it, become null."""
    trimmed = pc.utf8_trim_whitespace(raw)
    missing = pc.is_in(trimmed, value_set=pa.array(_PANDAS_NULLS))
    return pc.if_else(missing, pa.scalar(None, pa.string()), trimmed)


def strip_nulls(raw: pa.Array) -> pa.Array:
    """Strip white space; empty text and spellings of a missing value become null."""
    trimmed = pc.utf8_trim_whitespace(raw)
    missing = pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array(NULL_SPELLINGS))
    return pc.if_else(missing, pa.scalar(None, pa.string()), trimmed)


def find_faults(raw: pa.Array, bad: pa.Array, describe: Callable[[str], str]) -> Faults:
    """Return index → message for the values where `bad` is true: the shortened value and its description."""
    indices = pc.indices_nonzero(pc.fill_null(bad, False)).to_pylist()
    return {i: f"{shorten(raw[i].as_py())} {describe(raw[i].as_py())}" for i in indices}


def parse_each(text: pa.Array, read: Callable[[str], Any], dtype: pa.DataType) -> ParsedColumn:
    """Parse each distinct text once by a function that raises ParseError."""
    # Values repeat: each is parsed once, and its result is copied.
    encoded = text.dictionary_encode()
    values: list[Any] = []
    errors: dict[int, str] = {}
    for number, distinct in enumerate(encoded.dictionary.to_pylist()):
        try:
            values.append(read(distinct))
        except ParseError as error:
            values.append(None)
            errors[number] = f"{shorten(distinct)} {error}"
    parsed = pa.array(values, dtype).take(encoded.indices)
    if not errors:
        return parsed, {}
    indices = encoded.indices.to_pylist()
    return parsed, {i: errors[index] for i, index in enumerate(indices) if index in errors}


def parse_durations(raw: pa.Array, unit: str | None = None) -> ParsedColumn:
    """Parse durations to float64 seconds (N,), and the faults.

    They may be seconds (`31`, `25.68`), a clock (`00:31`, `1:02:03`), or numbers with units (`9.41s`, `PT1M5S`,
    `1 min 5 s`, `15320 ms`). `unit`, one of `DURATION_UNITS`, is that of plain numbers.
    """
    scale = DURATION_UNITS[unit or "s"]
    return parse_each(strip_nulls(raw), lambda text: _read_duration(text, scale), pa.float64())


def _read_duration(text: str, scale: float) -> float:
    if match := _CLOCK.fullmatch(_AFTER_CLOCK.sub("", text)):
        hours, minutes, seconds = match.groups()
        value = float(seconds.replace(",", "."))
        return int(hours or 0) * 3600 + int(minutes) * 60 + value if minutes else round(value * scale, 6)
    if match := _MILLISECONDS.fullmatch(text):
        return float(match[1]) / 1000
    if (match := _UNITS.fullmatch(text)) and any(match.groups()):
        hours, minutes, seconds = (float(part.replace(",", ".")) for part in match.groups(default="0"))
        return hours * 3600 + minutes * 60 + seconds
    raise ParseError("is not a duration")


def parse_booleans(raw: pa.Array) -> ParsedColumn:
    """Parse `true`, `yes`, `1` and their opposites, in upper or lower case, to bool (N,), and the faults."""
    text = strip_nulls(raw)
    lower = pc.utf8_lower(text)
    true, false = (pc.is_in(lower, value_set=pa.array(spellings)) for spellings in (_TRUE, FALSE_SPELLINGS))
    good = pc.or_(true, false)
    bad = pc.and_(pc.is_valid(text), pc.invert(good))
    value = pc.if_else(good, true, pa.scalar(None, pa.bool_()))
    return value, find_faults(text, bad, lambda _: "is neither true nor false")


def shorten(value: str, limit: int = 80) -> str:
    """Quote a value, cut so that it fits a line of a terminal."""
    return repr(value if len(value) <= limit else value[:limit] + "…")
