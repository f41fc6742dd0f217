"""Routes that score vectors and stored posts; the ingress replica answers them itself."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from serve.arrow_stream import read_stream
from serve.backend import Backend
from serve.errors import field_error
from serve.gate import Gate
from serve.models import LoadedModel
from serve.openapi import PROBLEMS
from serve.requests import JSON_TYPE, media_type, parse_json
from serve.schemas import (
    MAX_NUMBER,
    MAX_ROWS,
    FeaturesRequest,
    FeaturesResponse,
    PostsRequest,
    PostsResponse,
)
from serve.uploads import BodyReader
from viral.datasets.streams import Batch, from_table, from_vectors
from viral.errors import TableError
from viral.scoring.scorer import Score

ARROW_TYPE = "application/vnd.apache.arrow.stream"
VECTOR_BYTES = 64 << 20  # 1024 rows of 4,000 numbers as Arrow take 16 MB, as JSON four times as much
VECTOR_VALUES = 5_000_000  # these numbers, and the names and brackets of each row
POSTS_BYTES, POSTS_VALUES = 4 << 20, 1002  # 1,000 ids of 500 characters, escaped
INLINE_ROWS = 64  # one block of the scorer: half a millisecond, less than a thread costs


def add_vector_routes(app: FastAPI, gate: Gate, backend: Backend) -> None:
    """Add `POST /v1/score/features` and `POST /v1/score/posts`."""
    arrow = {"schema": {"type": "string", "format": "binary"}}
    body = {
        "requestBody": {
            "required": True,
            "content": {JSON_TYPE: {"schema": FeaturesRequest.model_json_schema()}, ARROW_TYPE: arrow},
        },
        "parameters": [{"name": "model", "in": "query", "required": False, "schema": {"type": "string"}}],
    }
    answers = {**PROBLEMS, 200: {"content": {ARROW_TYPE: arrow}}}

    @app.post("/v1/score/features", response_model=FeaturesResponse, responses=answers, openapi_extra=body)
    async def score_features(request: Request) -> Response:
        """Score ready vectors, as JSON or as an Arrow IPC stream with a column per extractor."""
        async with gate.admit(request, "vectors", VECTOR_BYTES, (JSON_TYPE, ARROW_TYPE)) as reader:
            return await _score_features(gate, backend, request, reader)

    posts = {"requestBody": {"required": True, "content": {JSON_TYPE: {"schema": PostsRequest.model_json_schema()}}}}

    @app.post("/v1/score/posts", response_model=PostsResponse, responses=PROBLEMS, openapi_extra=posts)
    async def score_posts(request: Request) -> Response:
        """Score posts whose features the root has, by id."""
        async with gate.admit(request, "vectors", POSTS_BYTES, (JSON_TYPE,)) as reader:
            wanted = parse_json(PostsRequest, await reader.read(), POSTS_VALUES)
            model = backend.model(wanted.model)
            with gate.admission.place("vectors"):
                scores = await backend.score_posts(wanted.post_ids, model)
        values = {post: score and score.to_dict() for post, score in scores.items()}
        return JSONResponse({"scores": values, "model": model.name})


async def _score_features(gate: Gate, backend: Backend, request: Request, reader: BodyReader) -> Response:
    started, body = time.perf_counter(), await reader.read()
    arrow = media_type(request) == ARROW_TYPE
    if arrow:
        model = backend.model(request.query_params.get("model"))
        batch = _arrow_batch(body, model)
    else:
        wanted = parse_json(FeaturesRequest, body, VECTOR_VALUES)
        model = backend.model(wanted.model or request.query_params.get("model"))
        batch = _json_batch(wanted, model)
    with gate.admission.place("vectors"):
        inline = len(batch.present) <= INLINE_ROWS
        if arrow:
            content = _arrow_answer(batch, model) if inline else await asyncio.to_thread(_arrow_answer, batch, model)
        else:
            scores = await (model.together.score(batch) if inline else asyncio.to_thread(model.score, batch))
            content = _json_answer(scores, model)
    headers = {"Server-Timing": f"total;dur={1000 * (time.perf_counter() - started):.1f}"}
    return Response(content, media_type=ARROW_TYPE if arrow else JSON_TYPE, headers=headers)


def _json_batch(wanted: FeaturesRequest, model: LoadedModel) -> Batch:
    known = {stream.name for stream in model.scorer.streams}
    unknown = sorted({name for row in wanted.vectors for name in row} - known)
    if unknown:
        raise field_error(f"vectors: the model has no input {unknown[0][:100]}; it has {', '.join(sorted(known))}")
    try:
        return from_vectors(model.scorer.streams, wanted.vectors)
    except TableError as error:
        raise field_error(f"vectors: {error}") from error


def _arrow_batch(body: bytes, model: LoadedModel) -> Batch:
    table = read_stream(body, MAX_ROWS)
    batch = from_table(model.scorer.streams, _with_all_columns(table, model))
    if not all((np.abs(vectors) <= MAX_NUMBER).all() for vectors in batch.vectors.values()):
        raise field_error(f"the vectors hold a null, NaN, or a number beyond {MAX_NUMBER:g}")
    return batch


def _with_all_columns(table: pa.Table, model: LoadedModel) -> pa.Table:
    """Check the columns, convert them to the types of a feature table, and add the absent ones as nulls."""
    streams = {stream.name: stream for stream in model.scorer.streams}
    unknown = [name for name in table.column_names if name not in streams]
    if unknown or len(set(table.column_names)) < table.num_columns:
        raise field_error(f"the model has no input {(unknown or table.column_names)[0][:100]}, or it is given twice")
    columns: dict[str, Any] = {}
    for name, stream in streams.items():
        kind = pa.list_(pa.float32(), stream.dim)
        try:
            column = table[name] if name in table.column_names else pa.nulls(table.num_rows, kind)
            columns[name] = column if column.type == kind else column.cast(kind)
        except (pa.ArrowException, ValueError) as error:
            raise field_error(f"{name}: send vectors of {stream.dim} numbers of 32 bits") from error
    return pa.table(columns)


def _json_answer(scores: Sequence[Score | None], model: LoadedModel) -> bytes:
    values = [score and score.to_dict() for score in scores]
    return json.dumps({"scores": values, "model": model.name}, allow_nan=False).encode()


def _arrow_answer(batch: Batch, model: LoadedModel) -> bytes:
    table = pa.table(model.score_columns(batch), metadata={"model": model.name})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
