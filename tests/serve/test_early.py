"""What stands before Serve: refusals are repeated while the ingress is busy, and Serve's own errors are converted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from serve.early import PROBE_SECONDS, REOPEN_SECONDS, EarlyAnswers
from serve.errors import BUSY, error_response, too_many

SCORE = "/v1/score"


class Ingress:
    """An application that answers, or refuses with a reason, and counts what reaches it."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.plain: int | None = None
        self.silent = False
        self.reached = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached += 1
        if self.silent:
            return
        if self.plain:
            headers = [(b"content-type", b"text/plain")]
            await send({"type": "http.response.start", "status": self.plain, "headers": headers})
            await send({"type": "http.response.body", "body": b"Path not found"})
        elif self.reason:
            await error_response(too_many(self.reason, "later", 2.0))(scope, receive, send)
        else:
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture
def ingress() -> Ingress:
    return Ingress()


@pytest.fixture
def post(ingress: Ingress, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[httpx.Response]]:
    """Sends a number of requests, one after the other, at one moment of the clock."""
    early = EarlyAnswers(ingress)
    monkeypatch.setattr("serve.early.time.monotonic", lambda: post_at[0])
    post_at = [100.0]

    def send(count: int = 1, path: str = SCORE, after: float = 0.0, **body: Any) -> list[httpx.Response]:
        async def all_of_them() -> list[httpx.Response]:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(early), base_url="http://a") as client:
                return [await client.post(path, **(body or {"json": {}})) for _ in range(count)]

        post_at[0] += after
        return asyncio.run(all_of_them())

    return send


def test_while_the_ingress_is_busy_its_refusal_is_repeated(ingress: Ingress, post: Any) -> None:
    ingress.reason = BUSY
    replies = post(100)
    assert ingress.reached == 1
    assert {reply.status_code for reply in replies} == {429}
    assert {reply.headers["retry-after"] for reply in replies} == {"2"}
    assert {reply.headers["content-type"] for reply in replies} == {"application/problem+json"}
    assert {reply.json()["reason"] for reply in replies} == {BUSY}


def test_a_probe_finds_out_that_it_has_room_again(ingress: Ingress, post: Any) -> None:
    ingress.reason = BUSY
    post(3)
    ingress.reason = None
    assert [post(after=0.6 * PROBE_SECONDS)[0].status_code for _ in range(4)] == [429, 200, 200, 200]
    post(after=REOPEN_SECONDS)
    ingress.plain = 500  # no answer, so it gives no pass to the next request
    ingress.reached = 0
    post(5)
    assert ingress.reached == 5


def test_other_lanes_stay_open(ingress: Ingress, post: Any) -> None:
    ingress.reason = BUSY
    post(2)
    ingress.reason = None
    assert post(files={"file": b"x"})[0].status_code == 200
    assert post(path="/v1/score/features")[0].status_code == 200
    assert post(path="/v1/explain")[0].status_code == 200
    assert post()[0].status_code == 429


@pytest.mark.parametrize("reason", ["rate_limited", "bytes_in_flight"])
def test_a_limit_that_others_do_not_share_is_not_repeated(ingress: Ingress, post: Any, reason: str) -> None:
    ingress.reason = reason
    assert {reply.json()["reason"] for reply in post(3)} == {reason}
    assert ingress.reached == 3


@pytest.mark.parametrize(("status", "becomes"), [(404, 503), (429, 429), (500, 500), (503, 503)])
def test_errors_of_serve_become_problem_details(ingress: Ingress, post: Any, status: int, becomes: int) -> None:
    ingress.plain = status
    (reply,) = post()
    assert reply.status_code == becomes
    assert reply.headers["content-type"] == "application/problem+json"
    assert set(json.loads(reply.content)) == {"type", "title", "status", "reason", "detail"}
    assert ("retry-after" in reply.headers) == (becomes in {429, 503})


def test_a_request_whose_replica_died_may_come_again(ingress: Ingress, post: Any) -> None:
    ingress.silent = True  # so is Serve then, and its server would answer 500 in plain text
    (reply,) = post()
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert reply.json()["reason"] == "unavailable"


def test_other_applications_of_serve_are_left_alone(ingress: Ingress, post: Any) -> None:
    ingress.plain = 404
    (reply,) = post(path="/other")
    assert (reply.status_code, reply.text) == (404, "Path not found")
