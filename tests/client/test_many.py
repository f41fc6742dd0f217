"""Many drafts: order, bounds, failures, and clients that leave."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from tests.client import endpoint as faults
from tests.client.conftest import Ask
from tests.client.endpoint import FakeEndpoint
from viral.client import AsyncClient, Client, EndpointScore
from viral.errors import EndpointError


def wait_until(condition: object, seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.005)


def test_results_come_in_order_and_one_failure_ends_nothing(ask: Ask, endpoint: FakeEndpoint) -> None:
    drafts = [{"caption": "x", "model": f"m/{number}"} for number in range(12)]
    drafts[0]["caption"] = "slow"
    drafts[3]["caption"] = "bad"
    drafts[5] = {"file": "/there/is/nothing.mp4"}
    looks: list[tuple[int, int]] = []

    def open_gate_when_others_are_done() -> None:
        wait_until(lambda: len(endpoint.seen) == 11)
        endpoint.gate.set()

    opener = threading.Thread(target=open_gate_when_others_are_done)
    opener.start()
    outcomes = ask("score_many", drafts, concurrency=3, progress=lambda *look: looks.append(look))
    opener.join()
    assert [outcome.reason for outcome in outcomes if isinstance(outcome, EndpointError)] == [
        "unreadable",
        "missing_object",
    ]
    models = [outcome.model if isinstance(outcome, EndpointScore) else None for outcome in outcomes]
    assert models == [None if number in (3, 5) else f"m/{number}" for number in range(12)]
    assert looks == [(done, 12) for done in range(1, 13)]
    assert endpoint.most_active <= 3


def test_no_drafts(ask: Ask) -> None:
    assert ask("score_many", []) == []


def test_a_cancelled_call_ends_its_request(endpoint: FakeEndpoint) -> None:
    async def main() -> None:
        async with AsyncClient(endpoint.url) as client:
            call = asyncio.create_task(client.score(b"x" * 100_000, caption="slow"))
            while not endpoint.active:
                await asyncio.sleep(0.005)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await asyncio.to_thread(endpoint.left.wait, 5)

    asyncio.run(main())
    assert endpoint.left.is_set()


def test_leaving_a_loop_ends_what_was_begun(endpoint: FakeEndpoint) -> None:
    async def main() -> None:
        async with AsyncClient(endpoint.url) as client:
            outcomes = client.score_many([{"caption": "x"}] + [{"caption": "slow"}] * 50, concurrency=2)
            async for outcome in outcomes:
                assert isinstance(outcome, EndpointScore)
                break
            await outcomes.aclose()
            await asyncio.to_thread(endpoint.left.wait, 5)

    asyncio.run(main())
    assert endpoint.left.is_set()
    assert len(endpoint.seen) <= 4


def test_leaving_a_loop_begins_nothing_more(endpoint: FakeEndpoint) -> None:
    with Client(endpoint.url) as client:
        outcomes = client.score_many([{"caption": "x"}] + [{"caption": "slow"}] * 50, concurrency=2)
        assert isinstance(next(outcomes), EndpointScore)
        outcomes.close()
        endpoint.gate.set()
        wait_until(lambda: not endpoint.active)
    assert len(endpoint.seen) <= 4


def test_a_busy_endpoint_slows_many_drafts_and_fails_none(ask: Ask, endpoint: FakeEndpoint) -> None:
    endpoint.faults += [faults.problem(429, "busy", Retry_After="0")] * 8
    outcomes = ask("score_many", [{"file": b"video"}] * 16, concurrency=8)
    assert [outcome.probability for outcome in outcomes] == [0.25] * 16
    assert len(endpoint.seen) == 24
