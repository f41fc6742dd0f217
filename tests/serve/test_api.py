"""The API alone, over ASGI: its answers when the backend fails, is slow or not ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import pytest

from serve.api import ApiConfig, Backend, OverloadedError, api
from serve.schemas import EncodedDraft, ScoreInput
from viral.extractors.extractor import Vector
from viral.features.posts import ExtractionResult
from viral.scoring.scorer import Score

Check = Callable[..., Any]
Encode = Callable[[ScoreInput], Awaitable[EncodedDraft]]


async def no_score(_: Mapping[str, Vector | None], __: str) -> Score | None:
    return None


async def the_model() -> str | None:
    return "m/1"


async def no_model() -> str | None:
    return None


async def is_ready() -> str | None:
    return None


def failed(reason: str, detail: str) -> Encode:
    async def encode(_: ScoreInput) -> EncodedDraft:
        return EncodedDraft(ExtractionResult("draft", "failed", reason, detail), "m/1")

    return encode


def ask(
    encode: Encode,
    *,
    ready: Callable[[], Awaitable[str | None]] = is_ready,
    model: Callable[[], Awaitable[str | None]] = the_model,
    method: str = "POST",
    path: str = "/v1/score",
) -> httpx.Response:
    app = api(ApiConfig("/some/root", None, 1000, timeout_seconds=0.2), Backend(encode, no_score, ready, model))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://face") as client:
            return await client.request(method, path, json={"caption": "a"})

    return asyncio.run(send())


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
    async def encode(_: ScoreInput) -> EncodedDraft:
        raise ZeroDivisionError("a secret")

    assert "secret" not in check_refusal(ask(encode), 500, "internal_error")


def test_busy_is_said_so(check_refusal: Check) -> None:
    async def encode(_: ScoreInput) -> EncodedDraft:
        raise OverloadedError

    reply = ask(encode)
    check_refusal(reply, 503, "busy")
    assert reply.headers["retry-after"] == "1"


def test_an_answer_that_does_not_come_is_given_up(check_refusal: Check) -> None:
    async def encode(_: ScoreInput) -> EncodedDraft:
        await asyncio.sleep(60)
        raise AssertionError

    assert "0.2 seconds" in check_refusal(ask(encode), 504, "deadline")


def test_vectors_that_the_model_does_not_take_are_refused(check_refusal: Check) -> None:
    async def encode(_: ScoreInput) -> EncodedDraft:
        outcome = ExtractionResult("draft", "partial", "extractor_error", "craft: it failed", vectors={"craft": None})
        return EncodedDraft(outcome, "m/1")

    assert check_refusal(ask(encode), 422, "nothing_to_score") == "craft: it failed"


def test_health_says_what_is_missing(check_refusal: Check) -> None:
    async def ready() -> str | None:
        return "no replica of Encoder is running"

    reply = ask(failed("unreadable", "none"), ready=ready, method="GET", path="/healthz")
    assert check_refusal(reply, 503, "not_ready") == "no replica of Encoder is running"


def test_health_waits_for_a_model_to_be_known(check_refusal: Check) -> None:
    reply = ask(failed("unreadable", "none"), model=no_model, method="GET", path="/healthz")
    check_refusal(reply, 503, "not_ready")
    assert ask(failed("unreadable", "none"), method="GET", path="/healthz").json()["model"] == "m/1"
