"""Counts, durations, yes-or-no and identifiers, as people and programs write them, read a column at a time.

Each reader takes an array of text and returns the values with the faults: position → what is wrong with the text there.
Nothing written, or what programs write for nothing (`nan`, `null`, `None` …), is null and no fault.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

Faults = dict[int, str]
Values = tuple[pa.Array, Faults]

# As tuples: an Arrow array at import would load pandas.
_NOTHING = ("", "nan", "nat", "null", "none", "na", "n/a", "<na>", "undefined")
_COUNT = (
    r"^(?P<digits>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?P<fraction>(?:\.[0-9]+)?)"
    r"(?P<power>(?:[eE]\+?[0-9]{1,2})?)[ \x{00A0}]?(?P<suffix>[KkMmBb]?)$"
)
_DURATION = (
    r"^(?:(?:(?P<hours>[0-9]{1,3}):)?(?P<minutes>[0-9]{1,3}):)?"
    r"(?P<seconds>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?)$"
)
_SUFFIXES = ("", "k", "m", "b")
_SCALES = (1.0, 1e3, 1e6, 1e9)
_EXACT = 2.0**53
_TRUE = ("true", "t", "yes", "y", "1", "1.0")
_FALSE = ("false", "f", "no", "n", "0", "0.0")
# An exponent with a sign or a point: no platform's identifiers look like that, those of a spreadsheet do.
_EXPONENT = r"^[0-9]+(?:\.[0-9]+[eE]\+?|[eE]\+)[0-9]+$"
_POINT_ZERO = r"^[0-9]+\.0*$"
_LONG_POINT_ZERO = r"^[0-9]{16,}\.0*$"


def text(raw: pa.Array) -> pa.Array:
    """The text without surrounding white space; null where nothing is left."""
    trimmed = pc.utf8_trim_whitespace(raw)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def written(raw: pa.Array) -> pa.Array:
    """The text without surrounding white space; null where it is empty or a word that programs write for nothing."""
    trimmed = pc.utf8_trim_whitespace(raw)
    nothing = pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array(_NOTHING))
    return pc.if_else(nothing, pa.scalar(None, pa.string()), trimmed)


def faults(raw: pa.Array, bad: pa.Array, why: Callable[[str], str]) -> Faults:
    """For each position where `bad` is true, the text there (shortened) and what is wrong with it."""
    positions = pc.indices_nonzero(pc.fill_null(bad, False)).to_pylist()
    return {i: f"{_shown(raw[i].as_py())} {why(raw[i].as_py())}" for i in positions}


def counts(raw: pa.Array) -> Values:
    """Whole numbers of 0 or more: `12`, `1,234`, `12.0`, `541.2K`, `1.4M`, `2B`.

    A comma groups three digits; `1,4M` and `3 videos` are faults, since what they mean would have to be guessed.
    Abbreviated counts are known to the digits they show: `541.2K` becomes 541,200. The limit is 2^53.

    Returns:
        int64 (N,) and the faults.
    """
    given = written(raw)
    parts = pc.extract_regex(given, _COUNT)
    digits, fraction, power, suffix = (
        pc.struct_field(parts, name) for name in ("digits", "fraction", "power", "suffix")
    )
    number = pc.binary_join_element_wise(pc.replace_substring(digits, ",", ""), fraction, power, "").cast(pa.float64())
    scale = pa.array(_SCALES).take(pc.index_in(pc.utf8_lower(suffix), value_set=pa.array(_SUFFIXES)))
    value = pc.round(pc.multiply(number, scale))
    whole = pc.or_(pc.not_equal(suffix, ""), pc.equal(value, number))
    good = pc.fill_null(pc.and_(whole, pc.less_equal(value, _EXACT)), False)
    read = pc.if_else(good, value, pa.scalar(None, pa.float64())).cast(pa.int64())
    return read, faults(given, pc.and_(pc.is_valid(given), pc.invert(good)), _not_a_count)


def durations(raw: pa.Array) -> Values:
    """Seconds: a number of seconds (`31`, `25.68`), or a clock (`00:31`, `1:02:03`).

    Returns:
        float64 (N,) and the faults.
    """
    given = written(raw)
    parts = pc.extract_regex(given, _DURATION)
    hours, minutes, seconds = (_number(pc.struct_field(parts, name)) for name in ("hours", "minutes", "seconds"))
    value = pc.add(pc.add(pc.multiply(hours, 3600.0), pc.multiply(minutes, 60.0)), seconds)
    bad = pc.and_(pc.is_valid(given), pc.is_null(value))
    return value, faults(given, bad, lambda _: "is not a duration")


def booleans(raw: pa.Array) -> Values:
    """True or false: `true`, `yes`, `1` and their opposites, in any case.

    Returns:
        bool (N,) and the faults.
    """
    given = written(raw)
    lower = pc.utf8_lower(given)
    yes, no = (pc.is_in(lower, value_set=pa.array(words)) for words in (_TRUE, _FALSE))
    known = pc.or_(yes, no)
    bad = pc.and_(pc.is_valid(given), pc.invert(known))
    return pc.if_else(known, yes, pa.scalar(None, pa.bool_())), faults(
        given, bad, lambda _: "is neither true nor false"
    )


def identifiers(raw: pa.Array) -> Values:
    """Identifiers as text. One that went through a floating-point number and lost digits is null, and a fault.

    `7.5e+18` and `7506832682593094656.0` stand for any of some thousand identifiers; `12.0` still is `12`. Digits that
    were lost before the number was written out again as a whole (`7506832682593095000`) cannot be told.

    Returns:
        string (N,) and the faults.
    """
    given = text(raw)
    exponent = pc.match_substring_regex(given, _EXPONENT)
    lost = pc.or_(exponent, pc.match_substring_regex(given, _LONG_POINT_ZERO))
    pointed = pc.match_substring_regex(given, _POINT_ZERO)
    whole = pc.if_else(pointed, pc.replace_substring_regex(given, r"\.0*$", ""), given)
    kept = pc.if_else(lost, pa.scalar(None, pa.string()), whole)
    return kept, faults(given, lost, lambda _: "lost digits to floating point: export it as text")


def _number(digits: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(digits, ""), "0", digits).cast(pa.float64())


def _not_a_count(value: str) -> str:
    return "is negative" if value.startswith("-") else "is not a count"


def _shown(value: str, limit: int = 80) -> str:
    return repr(value if len(value) <= limit else value[:limit] + "…")
