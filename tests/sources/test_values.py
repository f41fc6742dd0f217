from __future__ import annotations

import pyarrow as pa
import pytest

from viral.sources.values import booleans, counts, durations, identifiers


def one(reader, written):
    values, faults = reader(pa.array([written], pa.string()))
    return values.to_pylist()[0], faults.get(0)


@pytest.mark.parametrize(
    ("written", "count"),
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
def test_counts_are_read_as_they_are_written(written, count):
    assert one(counts, written) == (count, None)


@pytest.mark.parametrize("written", [None, "", "  ", "nan", "NaN", "None", "null", "N/A"])
def test_nothing_written_is_null_and_no_fault(written):
    for reader in (counts, durations, booleans):
        assert one(reader, written) == (None, None)


@pytest.mark.parametrize(
    "written", ["Share", "3 videos", "1,4M", "12,34", "1.5", "1.2.3", "K", "1e-3", "inf", "99999999999999999999", "12%"]
)
def test_what_is_no_count_is_a_fault(written):
    assert one(counts, written) == (None, f"{written!r} is not a count")


@pytest.mark.parametrize("written", ["-1", "-3.5K"])
def test_a_negative_count_says_so(written):
    assert one(counts, written) == (None, f"{written!r} is negative")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("31", 31.0), ("25.680000", 25.68), ("0", 0.0), ("00:31", 31.0), ("1:05", 65.0), ("1:02:03", 3723.0)],
)
def test_durations(written, seconds):
    assert one(durations, written) == (seconds, None)


@pytest.mark.parametrize("written", ["31s", "-1", "1:2:3:4", "PT31S", ":30"])
def test_what_is_no_duration_is_a_fault(written):
    assert one(durations, written) == (None, f"{written!r} is not a duration")


def test_booleans():
    values, faults = booleans(pa.array(["True", "false", "1", "0", "YES", "no", "maybe"]))
    assert values.to_pylist() == [True, False, True, False, True, False, None]
    assert faults == {6: "'maybe' is neither true nor false"}


@pytest.mark.parametrize(
    ("written", "identifier"),
    [("7506832682593094928", "7506832682593094928"), ("12.0", "12"), ("dQw4w9WgXcQ", "dQw4w9WgXcQ")],
)
def test_identifiers_stay_as_they_are(written, identifier):
    assert one(identifiers, written) == (identifier, None)


@pytest.mark.parametrize("written", ["7.506832745952218e+18", "7.5E18", "7506832682593094656.0", "75e+17"])
def test_an_identifier_that_lost_digits_is_none(written):
    value, fault = one(identifiers, written)
    assert value is None
    assert "lost digits" in fault


def test_an_identifier_that_only_looks_like_a_number_stays():
    assert one(identifiers, "1234567e890") == ("1234567e890", None)


def test_a_long_value_is_shortened_in_the_message():
    _, fault = one(counts, "x" * 1000)
    assert len(fault) < 120
