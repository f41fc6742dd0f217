from __future__ import annotations

import pyarrow as pa
import pytest

from viral.sources.counts import parse_counts
from viral.sources.identifiers import parse_identifiers
from viral.sources.values import parse_booleans, parse_durations


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
        ("64900.00000000001", 64_900),
        ("1.2E+06", 1_200_000),
        # What is counted, and signs that are no digits.
        ("12 views", 12),
        ("10K+", 10_000),
        ("10,7K videos", 10_700),
        ("١٢٣", 123),
        ("\uff11\uff12\uff13", 123),
        ("१२३", 123),
        # Groups that no decimal sign looks like.
        ("1 234 567", 1_234_567),
        ("1\u202f234", 1_234),
        ("1\u00a0234\u00a0567", 1_234_567),
        ("1'234'567", 1_234_567),
        ("1\u2019234", 1_234),
        ("12,34,567", 1_234_567),
        ("1.234.567,0", 1_234_567),
        # Units of many languages.
        ("1,4M", 1_400_000),
        ("1,2 Mio.", 1_200_000),
        ("3,1 Mrd.", 3_100_000_000),
        ("12 Tsd.", 12_000),
        ("1.2万", 12_000),
        ("1.2萬次", 12_000),
        ("3.4亿", 340_000_000),
        ("2億回視聴", 200_000_000),
        ("8.6천회", 8_600),
        ("조회수 1만회", 10_000),
        ("1.3억회", 130_000_000),
        ("1,2 тыс. просмотров", 1_200),
        ("3 млн", 3_000_000),
        ("1.2L", 120_000),
        ("1.2 lakh views", 120_000),
        ("1.2Cr", 12_000_000),
        ("1,2 jt", 1_200_000),
        ("조회수 없음", 0),
        # Symbols beside the number.
        ("\u2764\ufe0f 12,3 Tsd.", 12_300),
        ("1.2M\U0001f441", 1_200_000),
        ("No views", 0),
    ],
)
def test_counts_are_read_as_they_are_written(text, count):
    assert parse(parse_counts, text) == (count, None)


@pytest.mark.parametrize("text", [None, "", "  ", "nan", "NaN", "None", "null", "N/A", "#N/A", "\u2013"])
def test_nothing_written_is_null_and_no_fault(text):
    for parser in (parse_counts, parse_durations, parse_booleans):
        assert parse(parser, text) == (None, None)


@pytest.mark.parametrize(
    "text", ["Share", "12,34", "1.5", "1.2.3", "K", "1e-3", "inf", "99999999999999999999", "12%", "0.64", "1,2"]
)
def test_what_is_no_count_is_a_fault(text):
    assert parse(parse_counts, text) == (None, f"{text!r} is not a count")


@pytest.mark.parametrize("text", ["-2", "-3.5K", "-1874919424"])
def test_a_negative_count_says_so(text):
    assert parse(parse_counts, text) == (None, f"{text!r} is negative")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("31", 31.0),
        ("25.680000", 25.68),
        ("0", 0.0),
        ("00:31", 31.0),
        ("1:05", 65.0),
        ("1:02:03", 3723.0),
        ("9.41s", 9.41),
        ("8:40s", 520.0),
        ("PT58S", 58.0),
        ("PT1M2S", 62.0),
        ("1 min 5 s", 65.0),
        ("58 sec", 58.0),
        ("12,5", 12.5),
        ("0:51 Min.", 51.0),
        ("1 Min. 5 Sek.", 65.0),
        ("1,5 min", 90.0),
        ("1분 5초", 65.0),
        ("P0DT0H0M36S", 36.0),
        ("15320 ms", 15.32),
    ],
)
def test_durations(text, seconds):
    assert parse(parse_durations, text) == (seconds, None)


@pytest.mark.parametrize("text", ["-1", "1:2:3:4", ":30", "soon", "PT", "31 x"])
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


@pytest.mark.parametrize("text", ["1.000", "250.000", "1.234", "1.234.567", "1,234K"])
def test_a_count_that_is_a_thousand_in_half_of_the_world_is_refused(text):
    value, fault = parse(parse_counts, text)
    assert value is None
    assert "--locale" in fault


@pytest.mark.parametrize(
    ("locale", "text", "count"),
    [
        ("de", "1.000", 1_000),
        ("de", "250.000", 250_000),
        ("de", "1.234.567", 1_234_567),
        ("de", "12.0", 12),
        ("de", "1.2M", 1_200_000),
        ("de", "1,234,567", 1_234_567),
        ("pt_BR", "1,2 mil", 1_200),
        ("es", "1.2 mil", 1_200),
        ("tr", "1,2 B", 1_200),
        ("en", "1,000", 1_000),
        ("en_IN", "12,34,567", 1_234_567),
        ("fr", "1 234,0", 1_234),
        ("de-CH", "1\u2019234", 1_234),
    ],
)
def test_a_locale_says_how_numbers_are_written(locale, text, count):
    values, faults = parse_counts(pa.array([text]), locale)
    assert (values.to_pylist(), faults) == ([count], {})


@pytest.mark.parametrize("text", ["-1", "-1.0", "\u22121", "hidden", "[]", "-", "비공개"])
def test_a_hidden_count_is_null(text):
    assert parse(parse_counts, text) == (None, None)


@pytest.mark.parametrize("text", ["12,000", "1,000"])
def test_a_foreign_thousand_is_refused_where_a_comma_marks_decimals(text):
    assert parse_counts(pa.array([text]), "de")[0].to_pylist() == [None]


def test_plain_counts_are_read_beside_others():
    values, faults = parse_counts(pa.array(["1", "1.2K", None, "x", "1.2K"]))
    assert values.to_pylist() == [1, 1_200, None, None, 1_200]
    assert list(faults) == [3]


def test_durations_in_milliseconds():
    values, _ = parse_durations(pa.array(["15034", "0:15"]), "ms")
    assert values.to_pylist() == [15.034, 15.0]
