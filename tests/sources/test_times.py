from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from viral.sources.times import parse_times

MOMENT = datetime(2025, 5, 21, 9, 44, 45, tzinfo=UTC)


def parse(text):
    values, faults = parse_times(pa.array([text], pa.string()))
    return values.to_pylist()[0], faults.get(0)


@pytest.mark.parametrize(
    "text",
    [
        "2025-05-21 09:44:45",
        "2025-05-21T09:44:45Z",
        "2025-05-21 09:44:45 UTC",
        "2025-05-21T16:44:45+07:00",
        "2025-05-21T16:44:45+0700",
        "2025-05-21T16:44:45+07",
        "1747820685",
        "1747820685.0",
        "1747820685000",
        " 1747820685 ",
    ],
)
def test_one_moment_in_many_spellings(text):
    assert parse(text) == (MOMENT, None)


def test_days_and_fractions():
    assert parse("20250521")[0] == datetime(2025, 5, 21, tzinfo=UTC)
    assert parse("2025-05-21")[0] == datetime(2025, 5, 21, tzinfo=UTC)
    assert parse("2025-05-21T09:44:45.5Z")[0] == MOMENT.replace(microsecond=500_000)
    assert parse("1747820685.5")[0] == MOMENT.replace(microsecond=500_000)


@pytest.mark.parametrize("text", [None, "", "NaT", "null"])
def test_nothing_written_is_null(text):
    assert parse(text) == (None, None)


@pytest.mark.parametrize("text", ["yesterday", "2025-02-30", "2025-05-21 25:00:00", "21/05/2025", "-5"])
def test_what_is_no_time_is_a_fault(text):
    assert parse(text) == (None, f"{text!r} is not a time")


@pytest.mark.parametrize("text", ["0", "12", "99999999999999999999999"])
def test_a_number_far_from_any_post_is_a_fault(text):
    assert parse(text) == (None, f"{text!r} is a time before 1990 or after 2100")


def test_one_bad_value_does_not_cost_the_others():
    values, faults = parse_times(
        pa.array(["2025-05-21 09:44:45", "2025-02-30 00:00:00", "2025-05-21T16:44:45+07:00", None])
    )
    assert values.to_pylist() == [MOMENT, None, MOMENT, None]
    assert list(faults) == [1]


def test_timestamps_are_taken_as_they_are():
    naive = pa.array([MOMENT.replace(tzinfo=None)], pa.timestamp("ns"))
    assert parse_times(naive)[0].to_pylist() == [MOMENT]
    assert parse_times(pa.array([date(2025, 5, 21)]).cast(pa.timestamp("us")))[0].to_pylist() == [
        datetime(2025, 5, 21, tzinfo=UTC)
    ]
