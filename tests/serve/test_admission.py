"""Which requests are admitted, by the time that they would wait."""

from __future__ import annotations

import pytest

from serve.admission import ALWAYS, Admission, Lane
from serve.errors import ApiError


def lane_of(rate: float, in_flight: int) -> Lane:
    """A lane that answers `rate` requests per second, one after the other."""
    lane, now = Lane(1000), 0.0
    for _ in range(100):
        lane.enter(now)
        now += 1 / rate
        lane.leave(now)
    for _ in range(in_flight):
        lane.enter(now)
    return lane


def admitted(admission: Admission) -> bool:
    try:
        admission.check("text")
    except ApiError:
        return False
    return True


@pytest.mark.parametrize(("rate", "most"), [(100.0, 200), (10.0, 20), (0.1, 0)])
def test_the_queue_is_as_long_as_can_be_answered_in_time(rate: float, most: int) -> None:
    admission = Admission(2.0, 0, {"text": 1000})
    for in_flight in (*range(1, 400, 13), most - 1, most + 1):
        admission.lanes["text"] = lane_of(rate, in_flight)
        assert admitted(admission) == (in_flight <= most or in_flight < ALWAYS)


def test_pauses_between_requests_are_no_slowness() -> None:
    lane = Lane(1000)
    for start in range(100):
        lane.enter(100.0 * start)
        lane.leave(100.0 * start + 0.01)
    assert lane.interval == pytest.approx(0.01)


def test_it_adapts_to_a_slower_rate() -> None:
    lane, now = lane_of(100.0, 0), 1000.0
    for _ in range(50):
        lane.enter(now)
        now += 1.0
        lane.leave(now)
    assert lane.interval == pytest.approx(1.0, rel=0.01)


def test_who_is_refused_is_told_when_to_come() -> None:
    admission = Admission(2.0, 0, {"text": 1000})
    admission.lanes["text"] = lane_of(10.0, 50)
    with pytest.raises(ApiError) as refused:
        admission.check("text")
    assert refused.value.status == 429
    assert refused.value.headers == {"Retry-After": "5"}


def test_bytes_are_given_back() -> None:
    admission = Admission(2.0, 100, {"text": 1})
    with admission.body(60):
        with pytest.raises(ApiError, match="exceed the budget"), admission.body(41):
            pass
        with admission.body(40):
            assert admission.bytes_in_flight == 100
    assert admission.bytes_in_flight == 0
