"""The HTTP face: checks what comes in, asks the deployments, answers in JSON."""

from __future__ import annotations

import hmac
from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ray import serve
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle
from starlette.datastructures import UploadFile

import viral
from serve.deployments import Draft
from serve.settings import EndpointSpec, api_key
from viral.extractors.extractor import Context
from viral.pipeline import Outcome
from viral.scorer import Scored

MULTIPART_OVERHEAD = 64 << 10  # what the form's other fields may add to the largest video

app = FastAPI(title="viral", version=viral.__version__, docs_url="/docs", redoc_url=None)


class ScoreRequest(BaseModel):
    """What may be said of a draft beside its video."""

    model_config = ConfigDict(extra="forbid")

    uri: Annotated[str | None, Field(description="the video: a key below the root, or an address below it")] = None
    caption: Annotated[str | None, Field(max_length=10_000)] = None
    hashtags: Annotated[list[str] | None, Field(max_length=200)] = None
    posted_at: datetime | None = None
    author_followers: Annotated[int | None, Field(ge=0)] = None
    sound_original: bool | None = None

    def context(self) -> Context:
        """As the extractors take it."""
        return Context(
            caption=self.caption,
            hashtags=None if self.hashtags is None else tuple(self.hashtags),
            posted_at=self.posted_at,
            author_followers=self.author_followers,
            sound_original=self.sound_original,
        )


class Shares(BaseModel):
    """The reply of `POST /v1/score`."""

    probability: Annotated[float, Field(description="P(viral), as the label's top fraction defines it")]
    score: Annotated[float, Field(description="median of the label")]
    low: Annotated[float, Field(description="its 5 % quantile")]
    high: Annotated[float, Field(description="its 95 % quantile")]
    rates: Annotated[dict[str, float], Field(description="log rates of likes, comments and shares to views")]
    modalities: Annotated[dict[str, float], Field(description="share of each modality that was there")]
    missing: Annotated[list[str], Field(description="modalities that the draft has not")]
    label: str
    model: str
    notes: list[str]
    status: Annotated[str, Field(description="`ok`, or `partial` with `detail`")]
    detail: str | None
    seconds: dict[str, float]


async def _authorised(request: Request) -> None:
    key = serve.get_replica_context().servable_object.key
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if key is not None and not hmac.compare_digest(given.encode(), key.encode()):
        raise HTTPException(401, "this endpoint needs `Authorization: Bearer <key>`", {"WWW-Authenticate": "Bearer"})


@serve.ingress(app)
class Ingress:
    """`POST /v1/score` and `GET /healthz`."""

    def __init__(self, spec: EndpointSpec, encoder: DeploymentHandle, model: DeploymentHandle) -> None:
        self.spec, self.encoder, self.model = spec, encoder, model
        self.key = api_key(spec.settings.serve.host)

    @app.get("/healthz")
    async def healthz(self) -> dict[str, str]:
        """Up, and which model answers."""
        return {"status": "ok", "model": self.spec.model}

    @app.post("/v1/score", dependencies=[Depends(_authorised)], response_model=Shares)
    async def score(self, request: Request) -> JSONResponse:
        """Score a draft: multipart with `file` and any fields of ScoreRequest, or ScoreRequest as JSON."""
        draft = await self._draft(request)
        try:
            outcome: Outcome = await self.encoder.remote(draft)
            if outcome.status == "failed":
                return _refusal(422, outcome.reason or "failed", outcome.detail or "")
            if not any(vector is not None for vector in outcome.vectors.values()):
                return _refusal(422, "nothing_to_score", "send a video, a caption, or both")
            scored: Scored = await self.model.remote(dict(outcome.vectors))
        except BackPressureError:
            return JSONResponse({"reason": "busy", "detail": "try again"}, 503, {"Retry-After": "1"})
        return JSONResponse(answer(outcome, scored))

    async def _draft(self, request: Request) -> Draft:
        self._check_length(request)
        if "multipart/form-data" not in request.headers.get("content-type", ""):
            fields = _parsed(await request.body())
            return Draft(fields.context(), uri=self._below_root(fields.uri))
        async with request.form(max_files=1, max_fields=20) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise HTTPException(422, "the form has no file field `file`")
            fields = _fields({name: value for name, value in form.items() if name != "file"})
            suffix = PurePosixPath(file.filename or "").suffix[:8]
            return Draft(fields.context(), content=await file.read(), suffix=suffix)

    def _check_length(self, request: Request) -> None:
        length = request.headers.get("content-length", "")
        most = self.spec.settings.serve.max_upload_bytes
        if not length.isdigit():
            raise HTTPException(411, "say the length of the body (Content-Length)")
        if int(length) > most + MULTIPART_OVERHEAD:
            raise HTTPException(413, f"the upload is larger than {most} bytes (serve.max_upload_bytes)")

    def _below_root(self, uri: str | None) -> str | None:
        """A client may name what lies below the root, and nothing else of the machine that serves."""
        if uri is None:
            return None
        key = uri.removeprefix(f"{self.spec.root}/")
        if key.startswith("/") or "://" in key or ".." in PurePosixPath(key).parts:
            raise HTTPException(403, "only videos below the endpoint's root may be named: upload it instead")
        return key


def answer(outcome: Outcome, scored: Scored) -> dict[str, Any]:
    """The body of an answer."""
    return {
        **{name: getattr(scored, name) for name in ("probability", "score", "low", "high", "label", "model")},
        "rates": dict(scored.rates),
        "modalities": dict(scored.modalities),
        "missing": list(scored.missing),
        "notes": list(scored.notes),
        "status": outcome.status,
        "detail": outcome.detail,
        "seconds": dict(outcome.stage_seconds),
    }


def _refusal(status: int, reason: str, detail: str) -> JSONResponse:
    return JSONResponse({"reason": reason, "detail": detail}, status)


def _parsed(body: bytes) -> ScoreRequest:
    try:
        return ScoreRequest.model_validate_json(body)
    except ValidationError as error:
        raise HTTPException(422, _first(error)) from error


def _fields(given: dict[str, Any]) -> ScoreRequest:
    """Form fields are text: an empty one is not given, hashtags are separated by blanks or commas."""
    kept: dict[str, Any] = {name: value for name, value in given.items() if value != ""}
    if isinstance(kept.get("hashtags"), str):
        kept["hashtags"] = kept["hashtags"].replace(",", " ").split()
    try:
        return ScoreRequest.model_validate(kept)
    except ValidationError as error:
        raise HTTPException(422, _first(error)) from error


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'body'}: {first['msg']}"
