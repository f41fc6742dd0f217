"""Routes of scoring jobs."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

from fastapi import FastAPI, Path, Request
from fastapi.responses import JSONResponse, Response

from serve.backend import Backend
from serve.errors import ApiError
from serve.gate import Gate
from serve.openapi import PROBLEMS, SCHEMA_REF
from serve.requests import JSON_TYPE, below_root, parse_json
from serve.schemas import BatchRequest, JobResponse

BATCH_BYTES = 64 << 20  # 10,000 drafts with long captions
BATCH_VALUES = 3_000_000  # 10,000 drafts with all hashtags and sticker texts
_JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


def add_job_routes(app: FastAPI, gate: Gate, backend: Backend, root: str) -> None:
    """Add `POST /v1/score/batch` and `GET /v1/jobs/{job}`."""
    schema = BatchRequest.model_json_schema(ref_template=SCHEMA_REF)
    body = {"requestBody": {"required": True, "content": {JSON_TYPE: {"schema": schema}}}}

    @app.post("/v1/score/batch", status_code=202, response_model=JobResponse, responses=PROBLEMS, openapi_extra=body)
    async def score_batch(request: Request) -> Response:
        """Score many drafts in the background. The same request is the same job."""
        async with gate.admit(request, "vectors", BATCH_BYTES, (JSON_TYPE,)) as reader:
            wanted = await asyncio.to_thread(_parse, await reader.read(), root)  # looks up links of 10,000 files
            job = await backend.submit_job(wanted, backend.model(wanted.model).name)
            return _answer(await backend.job(job), HTTPStatus.ACCEPTED)

    @app.get("/v1/jobs/{job}", response_model=JobResponse, responses=PROBLEMS)
    async def job_status(request: Request, job: _JobId) -> Response:
        """Return the state of a job, and its results once it is done."""
        async with gate.admit(request, "vectors"):
            return _answer(await backend.job(job), HTTPStatus.OK)


def _parse(body: bytes, root: str) -> BatchRequest:
    wanted = parse_json(BatchRequest, body, BATCH_VALUES)
    for draft in wanted.drafts:
        if draft.uri is not None:
            draft.uri = below_root(draft.uri, root)
    return wanted


def _answer(status: dict[str, object] | None, code: HTTPStatus) -> Response:
    if status is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "unknown_job", "there is no such job")
    return JSONResponse(status, code, headers={"Location": f"/v1/jobs/{status['job']}"})
