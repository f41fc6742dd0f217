"""Parsers of columns of counts, durations, booleans or identifiers in the formats that people and programs write.

Each parser takes an array of text and returns the values and the faults, index → message. Empty text and the spellings
of a missing value (`nan`, `null`, `None` …) become null, without a fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

Faults = dict[int, str]
ParsedColumn = tuple[pa.Array, Faults]

# Tuples, because creating an Arrow array at import time would import pandas.
_NULL_SPELLINGS = ("", "nan", "nat", "null", "none", "na", "n/a", "<na>", "undefined")
_COUNT = (
    r"^(?P<digits>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?P<fraction>(?:\.[0-9]+)?)"  # digits, perhaps grouped by threes
    r"(?P<power>(?:[eE]\+?[0-9]{1,2})?)[ \x{00A0}]?(?P<suffix>[KkMmBb]?)$"  # exponent and unit, perhaps after a space
)
_AMBIGUOUS = r"^[1-9][0-9]{0,2}\.[0-9]{3}$"  # in half of the world a thousand, in the other half one
_DURATION = (
    r"^(?:(?:(?P<hours>[0-9]{1,3}):)?(?P<minutes>[0-9]{1,3}):)?"  # HH:MM:SS, MM:SS
    r"(?P<seconds>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?)$"  # or seconds alone
)
_SUFFIXES = ("", "k", "m", "b")
_SCALES = (1.0, 1e3, 1e6, 1e9)  # one per suffix
_MAX_EXACT = 2.0**53  # float64 is exact up to here
_TRUE = ("true", "t", "yes", "y", "1", "1.0")
_FALSE = ("false", "f", "no", "n", "0", "0.0")
_EXPONENT = r"^[0-9]+(?:\.[0-9]+[eE]\+?|[eE]\+)[0-9]+$"  # with a point or a sign: from a spreadsheet, not a platform
_POINT_ZERO = r"^[0-9]+\.0*$"  # a whole number written as a float
_LONG_POINT_ZERO = r"^[0-9]{16,}\.0*$"  # more digits than a float64 holds


def strip_text(raw: pa.Array) -> pa.Array:
    """Strip white space; empty text becomes null."""
    trimmed = pc.utf8_trim_whitespace(raw)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def strip_nulls(raw: pa.Array) -> pa.Array:
    """Strip white space; empty text and spellings of a missing value become null."""
    trimmed = pc.utf8_trim_whitespace(raw)
    missing = pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array(_NULL_SPELLINGS))
    return pc.if_else(missing, pa.scalar(None, pa.string()), trimmed)


def find_faults(raw: pa.Array, bad: pa.Array, describe: Callable[[str], str]) -> Faults:
    """Return index → message for the values where `bad` is true: the shortened value and its description."""
    indices = pc.indices_nonzero(pc.fill_null(bad, False)).to_pylist()
    return {i: f"{_shorten(raw[i].as_py())} {describe(raw[i].as_py())}" for i in indices}


def parse_counts(raw: pa.Array) -> ParsedColumn:
    """Parse non-negative integers (`12`, `1,234`, `12.0`, `541.2K`, `1.4M`, `2B`) to int64 (N,), and the faults.

    A comma groups three digits; `1,4M`, `1.234` and `3 videos` are faults, because they are ambiguous. An abbreviated
    count is as exact as its digits: `541.2K` becomes 541,200. The limit is 2^53.
    """
    text = strip_nulls(raw)
    digits, fraction, power, suffix = pc.extract_regex(text, _COUNT).flatten()
    number = pc.binary_join_element_wise(pc.replace_substring(digits, ",", ""), fraction, power, "").cast(pa.float64())
    scale = pa.array(_SCALES).take(pc.index_in(pc.utf8_lower(suffix), value_set=pa.array(_SUFFIXES)))
    value = pc.round(pc.multiply(number, scale))
    is_whole = pc.or_(pc.not_equal(suffix, ""), pc.equal(value, number))  # without a unit, a fraction is not a count
    ambiguous = pc.match_substring_regex(text, _AMBIGUOUS)
    good = pc.fill_null(pc.and_(pc.and_(is_whole, pc.less_equal(value, _MAX_EXACT)), pc.invert(ambiguous)), False)
    count = pc.if_else(good, value, pa.scalar(None, pa.float64())).cast(pa.int64())
    return count, find_faults(text, pc.and_(pc.is_valid(text), pc.invert(good)), _not_a_count)


def parse_durations(raw: pa.Array) -> ParsedColumn:
    """Parse durations, as seconds (`31`, `25.68`) or a clock (`00:31`, `1:02:03`), to float64 (N,), and the faults."""
    text = strip_nulls(raw)
    hours, minutes, seconds = (_number(part) for part in pc.extract_regex(text, _DURATION).flatten())
    value = pc.add(pc.add(pc.multiply(hours, 3600.0), pc.multiply(minutes, 60.0)), seconds)
    return value, find_faults(text, pc.and_(pc.is_valid(text), pc.is_null(value)), lambda _: "is not a duration")


def parse_booleans(raw: pa.Array) -> ParsedColumn:
    """Parse `true`, `yes`, `1` and their opposites, in upper or lower case, to bool (N,), and the faults."""
    text = strip_nulls(raw)
    lower = pc.utf8_lower(text)
    true, false = (pc.is_in(lower, value_set=pa.array(spellings)) for spellings in (_TRUE, _FALSE))
    good = pc.or_(true, false)
    bad = pc.and_(pc.is_valid(text), pc.invert(good))
    value = pc.if_else(good, true, pa.scalar(None, pa.bool_()))
    return value, find_faults(text, bad, lambda _: "is neither true nor false")


def parse_identifiers(raw: pa.Array) -> ParsedColumn:
    """Parse identifiers to string (N,), and the faults. One that lost digits to floating point becomes null, a fault.

    `7.5e+18` and `7506832682593094656.0` may stand for a thousand identifiers or more; `12.0` is still `12`. The loss
    cannot be detected where the rounded number was written as an integer (`7506832682593095000`).
    """
    text = strip_nulls(raw)
    exponent = pc.match_substring_regex(text, _EXPONENT)
    lost = pc.or_(exponent, pc.match_substring_regex(text, _LONG_POINT_ZERO))
    point_zero = pc.match_substring_regex(text, _POINT_ZERO)
    integer = pc.if_else(point_zero, pc.replace_substring_regex(text, r"\.0*$", ""), text)
    identifier = pc.if_else(lost, pa.scalar(None, pa.string()), integer)
    return identifier, find_faults(text, lost, lambda _: "lost digits to floating point: export it as text")


def _number(digits: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(digits, ""), "0", digits).cast(pa.float64())  # an unmatched group is empty


def _not_a_count(value: str) -> str:
    if re.match(_AMBIGUOUS, value):
        return "is a count of thousands or of single ones: write it without a point"
    return "is negative" if value.startswith("-") else "is not a count"


def _shorten(value: str, limit: int = 80) -> str:  # fits a line of a terminal
    return repr(value if len(value) <= limit else value[:limit] + "…")
