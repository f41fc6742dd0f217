"""The HTTP API on FastAPI: validates requests, calls the backend and returns JSON. Independent of Ray."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

import viral
from serve.backend import Backend
from serve.errors import ApiError, field_error, install_handlers, post_error
from serve.gate import Gate
from serve.job_api import add_job_routes
from serve.openapi import PROBLEMS, describe_security, request_bodies
from serve.requests import FORM_TYPE, JSON_TYPE, DraftParser, ScoreInput, media_type
from serve.schemas import (
    CompareRequest,
    CompareResponse,
    ExplainRequest,
    ExplainResponse,
    Health,
    ModelsResponse,
    ScoreRequest,
    ScoreResponse,
    response_body,
)
from serve.uploads import FORM_FILES, while_connected
from serve.vector_api import add_vector_routes
from serve.window import TakenReports
from viral.datasets.streams import from_vectors
from viral.errors import UsageError
from viral.scoring.author import compare_with_author
from viral.scoring.scorer import Score

NOTHING_TO_SCORE = "nothing_to_score"
KINDS = (FORM_TYPE, JSON_TYPE)
JSON_BYTES = 1 << 20  # the longest caption and 200 hashtags, escaped, fit several times over

Explain = Callable[[ScoreInput, str], Coroutine[Any, Any, dict[str, Any]]]


@dataclass(frozen=True)
class ApiConfig:
    """Settings of the API: the root that clients may read videos from, and the largest upload."""

    root: str
    max_upload_bytes: int


def api(config: ApiConfig, gate: Gate, backend: Backend) -> FastAPI:
    """Build the application; `/openapi.json` lists its routes.

    FastAPI's documentation pages are disabled: they load a third-party script, which could read the API key.
    """
    app = FastAPI(
        title="viral",
        version=viral.__version__,
        description="Scores short videos. Errors are problem details (RFC 9457) with a `reason`.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # to the host that the client names
    )
    install_handlers(app)
    app.add_middleware(TakenReports)
    drafts = _DraftRoutes(config, gate, backend)
    one, several = request_bodies(ScoreRequest, 1), request_bodies(CompareRequest, FORM_FILES)
    for path, route, answer, bodies in (
        ("/v1/score", drafts.score, ScoreResponse, one),
        ("/v1/explain", drafts.explain, ExplainResponse, request_bodies(ExplainRequest, 1)),
        ("/v1/compare", drafts.compare, CompareResponse, several),
    ):
        app.post(path, response_model=answer, responses=PROBLEMS, openapi_extra=bodies)(route)
    add_vector_routes(app, gate, backend)
    _add_health_routes(app, backend, gate)
    add_job_routes(app, gate, backend, config.root)
    describe_security(app, open_to_all=gate.keys.open)
    return app


def _add_health_routes(app: FastAPI, backend: Backend, gate: Gate) -> None:
    @app.get("/livez")
    async def livez() -> dict[str, str]:
        """Report that this replica runs. Needs no API key."""
        return {"status": "ok"}

    async def healthz() -> Health:
        """Report whether the endpoint is ready, and which model version it serves. Needs no API key."""
        problem = "the endpoint is stopping" if gate.draining else await backend.problem()
        if problem:
            raise ApiError(503, "not_ready", problem, {"Retry-After": "1"})
        return Health(status="ok", model=backend.model(None).name, version=viral.__version__)

    for path in ("/healthz", "/readyz"):
        app.get(path, response_model=Health, responses={503: PROBLEMS[503]})(healthz)

    @app.get("/v1/models", response_model=ModelsResponse, responses=PROBLEMS)
    async def models(request: Request) -> ModelsResponse:
        """List the models in service; a request names one in `model`."""
        async with gate.admit(request, "text"):
            return ModelsResponse(models=list(backend.models()))


class _DraftRoutes:
    """Routes about drafts. Each takes a form with the video in `file`, or JSON with or without the video's `uri`."""

    def __init__(self, config: ApiConfig, gate: Gate, backend: Backend) -> None:
        self._gate, self._backend = gate, backend
        self._root, self._max_upload_bytes = config.root, config.max_upload_bytes
        self._one = DraftParser(config.root, config.max_upload_bytes)
        self._explained = DraftParser(config.root, config.max_upload_bytes, changes=True)
        self._several = DraftParser(config.root, config.max_upload_bytes, several=True)

    async def score(self, request: Request) -> Response:
        """Score a draft: a form with the video in `file`, or JSON with the video's `uri` or without a video."""
        started, form = time.perf_counter(), media_type(request) == FORM_TYPE
        limit = self._max_upload_bytes if form else JSON_BYTES
        lane = "media" if form else "text"
        async with self._gate.admit(request, lane, limit, KINDS) as body, self._one.parse(request, body) as draft:
            content = await while_connected(request, self._score(draft))
        return timed(content, started)

    async def explain(self, request: Request) -> Response:
        """Score a draft and explain the score, or only the what-if `changes`; takes seconds."""
        return await self._explain(request, self._explained, self._backend.explain)

    async def compare(self, request: Request) -> Response:
        """Rank two to ten videos with one context, with the probability that one does better than another."""
        return await self._explain(request, self._several, self._backend.compare)

    async def _explain(self, request: Request, parser: DraftParser, explain: Explain) -> Response:
        started, form = time.perf_counter(), media_type(request) == FORM_TYPE
        limit = self._max_upload_bytes if form else JSON_BYTES
        async with self._gate.admit(request, "explain", limit, KINDS) as body, parser.parse(request, body) as draft:
            model = self._backend.model(draft.model)
            with self._gate.admission.place("explain"):
                content = await while_connected(request, explain(draft, model.name))
        return timed(content, started)

    async def _score(self, draft: ScoreInput) -> dict[str, Any]:
        model, admission = self._backend.model(draft.model), self._gate.admission
        stored = any(video.sha256 is None for video in draft.videos)
        fetching = admission.place("fetch") if stored else nullcontext()
        with fetching, admission.place("media" if draft.videos else "text"):
            result = await self._backend.extract(draft, model)
        if result.status == "failed":
            raise post_error(result.reason or "failed", draft.without_paths(result.detail or "", self._root))
        (score,) = model.score(from_vectors(model.scorer.streams, [result.vectors]))
        if score is None:
            raise post_error(NOTHING_TO_SCORE, result.detail or "send a video, a caption, or both")
        if draft.author_views is not None:
            score = _compare_with_author(score, draft.author_views)
        return response_body(result, score)


def timed(content: dict[str, Any], started: float) -> Response:
    """Return a JSON answer with its stages in the header `Server-Timing`, in milliseconds."""
    stages = {**content.get("seconds", {}), "total": time.perf_counter() - started}
    timing = ", ".join(f"{name};dur={1000 * seconds:.1f}" for name, seconds in stages.items())
    return JSONResponse(content, headers={"Server-Timing": timing})


def _compare_with_author(score: Score, views: Sequence[int]) -> Score:
    try:
        return compare_with_author(score, views)
    except UsageError as error:
        raise field_error(str(error)) from error
