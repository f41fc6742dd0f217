"""The HTTP face: checks what comes in, asks for vectors and a score, answers in JSON. Knows nothing of Ray."""

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
from serve.errors import RefusedError, answer_errors, refused_post
from serve.requests import draft_of
from serve.schemas import Answer, Draft, Encoded, Health, Refusal, answer, request_bodies
from serve.settings import digest
from viral.errors import UsageError
from viral.extractors.extractor import Vector
from viral.features.pipeline import Outcome
from viral.scoring.author import beside_author
from viral.scoring.scorer import Scored

NOTHING = "nothing_to_score"
REFUSALS = (401, 403, 404, 411, 413, 415, 422, 500, 503, 504)


class BusyError(Exception):
    """It can be asked again in a moment: enough requests wait already, or who was at this one died."""


@dataclass(frozen=True)
class Backend:
    """What the face asks: vectors for a draft, a score for vectors by their model, readiness, and who answers.

    `score` gives None where the model knows none of the vectors. `ready` says what is not there yet, or None; `model`
    names the version that is served, None where that is not known yet. `encode` and `score` may raise BusyError.
    """

    encode: Callable[[Draft], Awaitable[Encoded]]
    score: Callable[[Mapping[str, Vector | None], str], Awaitable[Scored | None]]
    ready: Callable[[], Awaitable[str | None]]
    model: Callable[[], Awaitable[str | None]]


@dataclass(frozen=True)
class Face:
    """What a face must know: the root that clients may name files of, the key and the limits."""

    root: str
    key_digest: str | None
    max_upload_bytes: int
    seconds: float


def api(face: Face, backend: Backend) -> FastAPI:
    """The application: `POST /v1/score`, `GET /healthz` and `GET /openapi.json`.

    There is no page of documentation: FastAPI's is a script from the network, and would see the API key.
    """
    app = FastAPI(
        title="viral",
        version=viral.__version__,
        description="Scores short videos. Errors are `{reason, detail}`.",
        docs_url=None,
        redoc_url=None,
    )
    answer_errors(app)

    @app.get("/healthz", response_model=Health, responses={503: {"model": Refusal}})
    async def healthz() -> Health:
        """Whether the endpoint answers, and by which model. Open to all."""
        missing, model = await backend.ready(), await backend.model()
        if missing or model is None:
            detail = missing or "no replica has said yet which model it serves"
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", detail, {"Retry-After": "1"})
        return Health(status="ok", model=model, version=viral.__version__)

    refusals: dict[int | str, dict[str, Any]] = {status: {"model": Refusal} for status in REFUSALS}

    @app.post("/v1/score", response_model=Answer, responses=refusals, openapi_extra=dict(request_bodies()))
    async def score(request: Request) -> JSONResponse:
        """Score a draft: a form with the video in `file`, or JSON with its `uri`; or what is known of it alone."""
        _authorise(request, face.key_digest)
        draft = await draft_of(request, face.root, face.max_upload_bytes)
        return JSONResponse(answer(*await _scored(draft, face, backend)))

    return app


def _authorise(request: Request, expected: str | None) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if expected is None or (scheme.lower() == "bearer" and hmac.compare_digest(digest(key.strip()), expected)):
        return
    detail = "this endpoint needs `Authorization: Bearer <key>`"
    raise RefusedError(HTTPStatus.UNAUTHORIZED, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})


async def _scored(draft: Draft, face: Face, backend: Backend) -> tuple[Encoded, Scored]:
    try:
        async with asyncio.timeout(face.seconds):
            encoded = await backend.encode(draft)
            outcome = encoded.outcome
            if outcome.status == "failed":
                raise refused_post(outcome.reason or "failed", (outcome.detail or "").replace(f"{face.root}/", ""))
            scored = await backend.score(outcome.vectors, encoded.model) if _any(outcome) else None
    except BusyError:
        detail = "the endpoint is busy, try again in a moment"
        raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", detail, {"Retry-After": "1"}) from None
    except TimeoutError:
        detail = f"no answer within {face.seconds:g} seconds"
        raise RefusedError(HTTPStatus.GATEWAY_TIMEOUT, "deadline", detail) from None
    if scored is None:
        raise refused_post(NOTHING, outcome.detail or "send a video, a caption, or both")
    return encoded, scored if draft.author_views is None else _beside_author(scored, draft.author_views)


def _beside_author(scored: Scored, views: Sequence[int]) -> Scored:
    try:
        return beside_author(scored, views)
    except UsageError as error:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_field", str(error)) from error


def _any(outcome: Outcome) -> bool:
    return any(vector is not None for vector in outcome.vectors.values())
