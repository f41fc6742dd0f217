"""The API alone, over ASGI: its answers when the backend fails, is slow or not ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from serve.admission import Admission
from serve.api import ApiConfig, api
from serve.backend import Backend
from serve.errors import OverloadedError
from serve.gate import Gate
from serve.keys import Keyring
from serve.models import LoadedModel
from serve.requests import ScoreInput
from viral.datasets.streams import Stream
from viral.extractors.feature_set import FeatureSet
from viral.features.posts import ExtractionResult
from viral.scoring.scorer import Score, Scorer

Check = Callable[..., Any]
Extract = Callable[[ScoreInput, LoadedModel], Awaitable[ExtractionResult]]
SCORER = SimpleNamespace(saved="m/1", streams=(Stream("craft", "editing", 2),), score_batch=lambda _: [])
MODEL = LoadedModel(cast("Scorer", SCORER), FeatureSet.named("words"))
LANES = {"text": 4, "media": 4, "fetch": 1, "vectors": 4, "explain": 1}


async def no_explanation(_: ScoreInput, __: str) -> dict[str, Any]:
    raise AssertionError


async def no_scores(_: Sequence[str], __: LoadedModel) -> dict[str, Score | None]:
    return {}


async def no_job(*_: object) -> Any:
    return None


async def no_problem() -> str | None:
    return None


def failed(reason: str, detail: str) -> Extract:
    async def extract(_: ScoreInput, __: LoadedModel) -> ExtractionResult:
        return ExtractionResult("draft", "failed", reason, detail)

    return extract


def application(extract: Extract, problem: Callable[[], Awaitable[str | None]] = no_problem) -> tuple[FastAPI, Gate]:
    gate = Gate(Keyring(), Admission(2.0, 10_000, LANES), min_upload_rate=1000, request_seconds=0.2)
    backend = Backend(
        lambda _: MODEL, list, extract, no_explanation, no_explanation, no_scores, no_job, no_job, problem
    )
    return api(ApiConfig("/some/root", 1000), gate, backend), gate


async def send(app: FastAPI, *, method: str = "POST", path: str = "/v1/score", **request: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://face") as client:
        return await client.request(method, path, **(request or {"json": {"caption": "a"}}))


def ask(
    extract: Extract, *, problem: Callable[[], Awaitable[str | None]] = no_problem, **request: Any
) -> httpx.Response:
    return asyncio.run(send(application(extract, problem)[0], **request))


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        *(("missing_object", 404), ("access_denied", 403), ("too_large", 413), ("storage_error", 503)),
        *(("unreadable", 422), ("timed_out", 422), ("crashed", 422), ("out_of_memory", 422), ("too_long", 422)),
    ],
)
def test_the_reason_of_a_post_becomes_a_status(reason: str, status: int, check_refusal: Check) -> None:
    """And where the root lies is nobody's business."""
    reply = ask(failed(reason, "there is no file /some/root/videos/a.mp4"))
    assert check_refusal(reply, status, reason) == "there is no file videos/a.mp4"


def test_a_mistake_of_ours_shows_nothing_of_itself(check_refusal: Check) -> None:
    async def extract(_: ScoreInput, __: LoadedModel) -> ExtractionResult:
        raise ZeroDivisionError("a secret")

    assert "secret" not in check_refusal(ask(extract), 500, "internal_error")


def test_what_restarts_is_said_so(check_refusal: Check) -> None:
    async def extract(_: ScoreInput, __: LoadedModel) -> ExtractionResult:
        raise OverloadedError

    reply = ask(extract)
    check_refusal(reply, 503, "busy")
    assert reply.headers["retry-after"] == "1"


async def never(_: ScoreInput, __: LoadedModel) -> ExtractionResult:
    await asyncio.sleep(60)
    raise AssertionError


def test_an_answer_that_does_not_come_is_given_up(check_refusal: Check) -> None:
    assert "0.2 seconds" in check_refusal(ask(never), 504, "deadline")


def test_a_request_that_ends_frees_its_place(check_refusal: Check) -> None:
    """Also one whose client leaves."""

    async def overflow() -> list[httpx.Response]:
        app, gate = application(never)
        replies = await asyncio.gather(*(send(app) for _ in range(6)))
        left = asyncio.create_task(send(app))
        await asyncio.sleep(0.05)
        assert (gate.in_flight, gate.admission.lanes["text"].in_flight) == (1, 1)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        assert (gate.in_flight, gate.admission.bytes_in_flight) == (0, 0)
        assert {lane.in_flight for lane in gate.admission.lanes.values()} == {0}
        return replies

    replies = asyncio.run(overflow())
    assert sorted(reply.status_code for reply in replies) == [429, 429, 504, 504, 504, 504]


def test_a_body_beyond_the_budget_is_refused_before_it_is_read(check_refusal: Check) -> None:
    async def refused() -> httpx.Response:
        app, gate = application(never)
        with gate.admission.body(9_999):
            return await send(app, json={"caption": "a"})

    check_refusal(asyncio.run(refused()), 429, "bytes_in_flight")


def test_a_request_without_a_body_takes_nothing_of_the_budget(check_refusal: Check) -> None:
    async def asked() -> httpx.Response:
        app, gate = application(never)
        with gate.admission.body(10_000):
            return await send(app, method="GET", path="/v1/jobs/" + "0" * 32, headers={})

    check_refusal(asyncio.run(asked()), 404, "unknown_job")


def test_while_it_drains_nothing_new_is_taken_and_the_rest_is_answered(check_refusal: Check) -> None:
    async def drain() -> tuple[httpx.Response, httpx.Response]:
        app, gate = application(never)
        asked = asyncio.create_task(send(app))
        await asyncio.sleep(0.05)
        drained = asyncio.create_task(gate.drain())
        await asyncio.sleep(0.01)
        late = await send(app)
        assert not drained.done()
        await drained
        return await asked, late

    asked, late = asyncio.run(drain())
    assert asked.status_code == 504  # of its own time limit
    check_refusal(late, 503, "draining")


def test_vectors_that_the_model_does_not_take_are_refused(check_refusal: Check) -> None:
    async def extract(_: ScoreInput, __: LoadedModel) -> ExtractionResult:
        return ExtractionResult("draft", "partial", "extractor_error", "craft: it failed", vectors={"craft": None})

    assert check_refusal(ask(extract), 422, "nothing_to_score") == "craft: it failed"


def test_health_says_what_is_missing(check_refusal: Check) -> None:
    async def problem() -> str | None:
        return "no replica of Encoder is running"

    reply = ask(never, problem=problem, method="GET", path="/healthz")
    assert check_refusal(reply, 503, "not_ready") == "no replica of Encoder is running"
    assert ask(never, method="GET", path="/healthz").json()["model"] == "m/1"
