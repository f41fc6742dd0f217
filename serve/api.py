"""The HTTP API on FastAPI: validates requests, calls the backend and returns JSON. Independent of Ray."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

import viral
from serve.errors import ApiError, install_handlers, post_error
from serve.requests import parse_request
from serve.schemas import EncodedDraft, ErrorResponse, Health, ScoreInput, ScoreResponse, request_bodies, response_body
from serve.settings import digest
from viral.errors import UsageError
from viral.extractors.extractor import Vector
from viral.scoring.author import compare_with_author
from viral.scoring.scorer import Score

NOTHING_TO_SCORE = "nothing_to_score"
ERROR_STATUSES = (401, 403, 404, 411, 413, 415, 422, 500, 503, 504)


class OverloadedError(Exception):
    """The backend cannot take the request now (full queue, dead replica, unreadable storage). The client may retry."""


@dataclass(frozen=True)
class Backend:
    """Functions that the API calls.

    `encode` extracts the vectors of a draft. `score` scores vectors with a model version, and returns None if the model
    uses none of them. `ready` returns None, or a message about what is not running. `model` returns the served version,
    None while it is unknown. `encode` and `score` may raise OverloadedError.
    """

    encode: Callable[[ScoreInput], Awaitable[EncodedDraft]]
    score: Callable[[Mapping[str, Vector | None], str], Awaitable[Score | None]]
    ready: Callable[[], Awaitable[str | None]]
    model: Callable[[], Awaitable[str | None]]


@dataclass(frozen=True)
class ApiConfig:
    """Settings of the API: the root that clients may read videos from, the digest of the API key, and limits."""

    root: str
    key_digest: str | None
    max_upload_bytes: int
    timeout_seconds: float


def api(config: ApiConfig, backend: Backend) -> FastAPI:
    """Build the application: `POST /v1/score`, `GET /healthz` and `GET /openapi.json`.

    FastAPI's documentation pages are disabled: they load a third-party script, which could read the API key.
    """
    app = FastAPI(
        title="viral",
        version=viral.__version__,
        description="Scores short videos. Errors are `{reason, detail}`.",
        docs_url=None,
        redoc_url=None,
    )
    install_handlers(app)

    @app.get("/healthz", response_model=Health, responses={503: {"model": ErrorResponse}})
    async def healthz() -> Health:
        """Report whether the endpoint is ready, and which model version it serves. Needs no API key."""
        missing, model = await backend.ready(), await backend.model()
        if missing or model is None:
            detail = missing or "no replica has reported its model yet"
            raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", detail, {"Retry-After": "1"})
        return Health(status="ok", model=model, version=viral.__version__)

    errors: dict[int | str, dict[str, Any]] = {status: {"model": ErrorResponse} for status in ERROR_STATUSES}

    @app.post("/v1/score", response_model=ScoreResponse, responses=errors, openapi_extra=dict(request_bodies()))
    async def score(request: Request) -> JSONResponse:
        """Score a draft: a form with the video in `file`, or JSON with the video's `uri` or without a video."""
        _authorise(request, config.key_digest)
        draft = await parse_request(request, config.root, config.max_upload_bytes)
        return JSONResponse(response_body(*await _score(draft, config, backend)))

    return app


def _authorise(request: Request, expected: str | None) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if expected is None or (scheme.lower() == "bearer" and hmac.compare_digest(digest(key.strip()), expected)):
        return
    detail = "this endpoint needs `Authorization: Bearer <key>`"
    raise ApiError(HTTPStatus.UNAUTHORIZED, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})


async def _score(draft: ScoreInput, config: ApiConfig, backend: Backend) -> tuple[EncodedDraft, Score]:
    try:
        async with asyncio.timeout(config.timeout_seconds):
            encoded = await backend.encode(draft)
            result = encoded.result
            if result.status == "failed":
                raise post_error(result.reason or "failed", (result.detail or "").replace(f"{config.root}/", ""))
            has_vectors = any(vector is not None for vector in result.vectors.values())
            score = await backend.score(result.vectors, encoded.model) if has_vectors else None
    except OverloadedError:
        detail = "the endpoint is busy, try again in a moment"
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", detail, {"Retry-After": "1"}) from None
    except TimeoutError:
        detail = f"no answer within {config.timeout_seconds:g} seconds"
        raise ApiError(HTTPStatus.GATEWAY_TIMEOUT, "deadline", detail) from None
    if score is None:
        raise post_error(NOTHING_TO_SCORE, result.detail or "send a video, a caption, or both")
    return encoded, score if draft.author_views is None else _compare_with_author(score, draft.author_views)


def _compare_with_author(score: Score, views: Sequence[int]) -> Score:
    try:
        return compare_with_author(score, views)
    except UsageError as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_field", str(error)) from error
