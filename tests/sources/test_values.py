from __future__ import annotations

import pyarrow as pa
import pytest

from viral.sources.values import parse_booleans, parse_counts, parse_durations, parse_identifiers


def parse(parser, text):
    values, faults = parser(pa.array([text], pa.string()))
    return values.to_pylist()[0], faults.get(0)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("12", 12),
        (" 12 ", 12),
        ("12.0", 12),
        ("1,234", 1_234),
        ("12,345,678", 12_345_678),
        ("541.2K", 541_200),
        ("8.7K", 8_700),
        ("1.4M", 1_400_000),
        ("1.4m", 1_400_000),
        ("304.9 K", 304_900),
        ("2B", 2_000_000_000),
        ("1.2e+06", 1_200_000),
        ("9007199254740992", 2**53),
    ],
)
def test_counts_are_read_as_they_are_written(text, count):
    assert parse(parse_counts, text) == (count, None)


@pytest.mark.parametrize("text", [None, "", "  ", "nan", "NaN", "None", "null", "N/A"])
def test_nothing_written_is_null_and_no_fault(text):
    for parser in (parse_counts, parse_durations, parse_booleans):
        assert parse(parser, text) == (None, None)


@pytest.mark.parametrize(
    "text", ["Share", "3 videos", "1,4M", "12,34", "1.5", "1.2.3", "K", "1e-3", "inf", "99999999999999999999", "12%"]
)
def test_what_is_no_count_is_a_fault(text):
    assert parse(parse_counts, text) == (None, f"{text!r} is not a count")


@pytest.mark.parametrize("text", ["-1", "-3.5K"])
def test_a_negative_count_says_so(text):
    assert parse(parse_counts, text) == (None, f"{text!r} is negative")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("31", 31.0), ("25.680000", 25.68), ("0", 0.0), ("00:31", 31.0), ("1:05", 65.0), ("1:02:03", 3723.0)],
)
def test_durations(text, seconds):
    assert parse(parse_durations, text) == (seconds, None)


@pytest.mark.parametrize("text", ["31s", "-1", "1:2:3:4", "PT31S", ":30"])
def test_what_is_no_duration_is_a_fault(text):
    assert parse(parse_durations, text) == (None, f"{text!r} is not a duration")


def test_booleans():
    values, faults = parse_booleans(pa.array(["True", "false", "1", "0", "YES", "no", "maybe"]))
    assert values.to_pylist() == [True, False, True, False, True, False, None]
    assert faults == {6: "'maybe' is neither true nor false"}


@pytest.mark.parametrize(
    ("text", "identifier"),
    [("7506832682593094928", "7506832682593094928"), ("12.0", "12"), ("dQw4w9WgXcQ", "dQw4w9WgXcQ")],
)
def test_identifiers_stay_as_they_are(text, identifier):
    assert parse(parse_identifiers, text) == (identifier, None)


@pytest.mark.parametrize("text", ["7.506832745952218e+18", "7.5E18", "7506832682593094656.0", "75e+17"])
def test_an_identifier_that_lost_digits_is_none(text):
    value, fault = parse(parse_identifiers, text)
    assert value is None
    assert "lost digits" in fault


def test_an_identifier_that_only_looks_like_a_number_stays():
    assert parse(parse_identifiers, "1234567e890") == ("1234567e890", None)


def test_a_long_value_is_shortened_in_the_message():
    _, fault = parse(parse_counts, "x" * 1000)
    assert len(fault) < 120
