from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from viral.sources.settings import ReadSettings
from viral.sources.times import mark_inexact, parse_times

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


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("yesterday", "is an age: name the time of scraping (--scraped-at)"),
        ("2025-02-30", "is not a date in the order ymd"),
        ("2025-05-21 25:00:00", "is not a date in the order ymd"),
        ("21/05/2025", "is a date in an unknown order: name it (--dates mdy or dmy)"),
        ("-5", "is not a time"),
        ("soon", "is not a time"),
        ("12:30", "is not a time"),
    ],
)
def test_what_is_no_time_is_a_fault(text, fault):
    assert parse(text) == (None, f"{text!r} {fault}")


@pytest.mark.parametrize(
    ("text", "order", "time"),
    [
        ("8/14/19 10:15 AM", "mdy", datetime(2019, 8, 14, 10, 15)),
        ("12/28/2020 11:38 PM", "mdy", datetime(2020, 12, 28, 23, 38)),
        ("6/1/23 12:05 am", "mdy", datetime(2023, 6, 1, 0, 5)),
        ("6/2/23 12:00 PM", "mdy", datetime(2023, 6, 2, 12, 0)),
        ("14.8.2019 10:15", "dmy", datetime(2019, 8, 14, 10, 15)),
        ("14-08-2019", "dmy", datetime(2019, 8, 14)),
        ("2019/8/14 10:15:07", None, datetime(2019, 8, 14, 10, 15, 7)),
        ("Aug 14, 2019 10:15", None, datetime(2019, 8, 14, 10, 15)),
        ("14 août 2019", None, datetime(2019, 8, 14)),
        ("2024-10-11_09-08-07-312", None, datetime(2024, 10, 11, 9, 8, 7, 312_000)),
        ("2024-10-11_09-08-07_UTC", None, datetime(2024, 10, 11, 9, 8, 7)),
        ("1747820685000000", None, datetime(2025, 5, 21, 9, 44, 45)),
    ],
)
def test_dates_of_people_and_of_file_names(text, order, time):
    values, faults = parse_times(pa.array([text]), ReadSettings(dates=order))
    assert (values.to_pylist(), faults) == ([time.replace(tzinfo=UTC)], {})


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("Tue, 05 Mar 2024 12:00:00 +0900", "03:00"),
        ("Tue Mar 05 12:00:00 +0000 2024", "12:00"),
        ("2024/03/05 12:00:00 \u22120130", "13:30"),
        ("5 Mar 2024, 12:00 CET", "11:00"),
        ("March 5, 2024 at 2:30 PM PST", "22:30"),
        ("Mar 5, 2024 14:30 (GMT+9)", "05:30"),
        ("05.03.2024 14:30 UTC", "14:30"),
        ("Tue Mar 05 2024 12:00:00 GMT+0100 (Central European Standard Time)", "11:00"),
        ("05.03.2024, 14:30 Uhr", "13:30"),
        ("Di 05/03/2024 um 14:30", "13:30"),
        ("05.03.2024 12:00 CST", "11:00"),  # has several meanings: the zone that is named counts
    ],
)
def test_a_zone_in_the_text_and_the_order_of_a_date_among_words_count(text, time):
    values, faults = parse_times(pa.array([text]), ReadSettings(zone="Europe/Berlin", dates="dmy"))
    assert (f"{values[0].as_py():%Y-%m-%d %H:%M}", faults) == (f"2024-03-05 {time}", {})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Mon 03/04/2024", "is a date in an unknown order: name it (--dates mdy or dmy)"),
        ("03/04/24 2:30 PM EST", "is a date in an unknown order: name it (--dates mdy or dmy)"),
        (
            "5 Mar 2024 12:00 IST",
            "names a zone that has several meanings: write an offset, as +08:00, or name the zone ",
        ),
        ("5 Mar 2024 12:00 pst", "names a zone that has several meanings"),
        ("45356.52", "is a date as a spreadsheet counts days: export it as a date"),
    ],
)
def test_what_would_be_guessed_is_a_fault(text, fault):
    value, found = parse(text)
    assert value is None
    assert fault in found


def test_an_age_does_not_depend_on_the_zone():
    settings = ReadSettings(zone="Asia/Tokyo", scraped_at=datetime(2024, 6, 1, tzinfo=UTC))
    assert parse_times(pa.array(["5 hours ago"]), settings)[0].to_pylist() == [datetime(2024, 5, 31, 19, tzinfo=UTC)]


def test_a_date_that_does_not_exist_in_the_order_is_a_fault():
    assert parse_times(pa.array(["14/8/2019"]), ReadSettings(dates="mdy"))[0].to_pylist() == [None]


def test_times_of_a_zone():
    texts = ["2025-07-01 12:00", "2025-01-01 12:00:00", "2025-07-01T12:00:00Z", "7/1/2025 12:00", "1751371200"]
    values, faults = parse_times(pa.array(texts), ReadSettings(zone="America/Denver", dates="mdy"))
    assert [value.hour for value in values.to_pylist()] == [18, 19, 12, 18, 12]
    assert faults == {}
    skipped, doubled = "2025-03-09 02:30:00", "2025-11-02 01:30:00"
    values, _ = parse_times(pa.array([skipped, doubled, "2025-02-30 00:00:00"]), ReadSettings(zone="America/Denver"))
    assert [value and (value.hour, value.minute) for value in values.to_pylist()] == [(9, 0), (7, 30), None]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("3 days ago", 3),
        ("3개월 전", 92),
        ("2주 전", 14),
        ("11일 전", 11),
        ("1년 전", 366),
        ("3日前", 3),
        ("2週間前", 14),
        ("hace 2 días", 2),
        ("il y a 3 jours", 3),
        ("vor 2 Wochen", 14),
        ("5 дней назад", 5),
        ("yesterday", 1),
        ("1시간 전", 1 / 24),
    ],
)
def test_ages_count_back_from_the_scrape(text, days):
    scraped = datetime(2024, 6, 1, tzinfo=UTC)
    values, faults = parse_times(pa.array([text]), ReadSettings(scraped_at=scraped))
    assert faults == {}
    assert (scraped - values.to_pylist()[0]).total_seconds() == pytest.approx(days * 86_400)
    assert [mark.to_pylist() for mark in mark_inexact(pa.array([text]))] == [[False], [True]]


def test_an_age_that_lies_ahead_is_no_time_of_posting():
    values, faults = parse_times(pa.array(["in 3 days"]), ReadSettings(scraped_at=MOMENT))
    assert (values.to_pylist(), list(faults)) == ([None], [0])


def test_days_alone_are_marked():
    days = ["2025-05-21", "20250521", "21.5.2025", "Mi, 21. Mai 2025"]
    exact = [
        "2025-05-21 09:44",
        "1747820685",
        "2024-10-11_09-08-07_UTC",
        "21 mai 2025 à 9h44",
        "2025년 5월 21일 9시",
        None,
    ]
    day, age = mark_inexact(pa.array(days + exact))
    assert day.to_pylist() == [True] * len(days) + [False] * len(exact)
    assert not any(age.to_pylist())


@pytest.mark.parametrize("year", [1970, 2522])
def test_timestamps_far_from_any_post_are_faults(year):
    values, faults = parse_times(pa.array([datetime(year, 1, 1)], pa.timestamp("us")))
    assert (values.to_pylist(), list(faults)) == ([None], [0])


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
