"""The ingress deployment: the HTTP API over handles to the other deployments."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import cast

from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle

from serve.api import ApiConfig, Backend, OverloadedError, api
from serve.champion import champion_name
from serve.schemas import EncodedDraft, ScoreInput
from viral.errors import StorageError
from viral.extractors.extractor import Vector
from viral.scoring.scorer import Score

STATUS_CACHE_SECONDS = 1.0  # /healthz needs no key: the cache bounds the load on Serve's controller
MODEL_TIMEOUT_SECONDS = 2.0  # shorter than clients wait for /healthz; a busy encoder may take longer
_TRANSIENT = (BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError, RayActorError, StorageError)


@serve.ingress()
class Ingress:
    """Serves the HTTP API. Each replica builds the application, as FastAPI loses its annotations when pickled.

    Args:
        config: settings of the API.
        model: the served model: a version, or `name@champion`.
        encoder: handle of `EncoderDeployment`.
        scorer: handle of `ModelDeployment`.
    """

    def __init__(self, config: ApiConfig, model: str, encoder: DeploymentHandle, scorer: DeploymentHandle) -> None:
        self.config, self.encoder, self.scorer = config, encoder, scorer
        self.status_time, self.problem = 0.0, cast("str | None", None)
        self.follows = champion_name(model) is not None
        self.model_time, self.model = 0.0, None if self.follows else model

    def __serve_build_asgi_app__(self) -> FastAPI:
        return api(self.config, Backend(self._encode, self._score, self._ready, self._model))

    async def _encode(self, draft: ScoreInput) -> EncodedDraft:
        with _as_overloaded():
            encoded = cast("EncodedDraft", await self.encoder.remote(draft))
        self.model_time, self.model = time.monotonic(), encoded.model
        return encoded

    async def _score(self, vectors: Mapping[str, Vector | None], model: str) -> Score | None:
        with _as_overloaded():
            return cast("Score | None", await self.scorer.remote(dict(vectors), model))

    async def _model(self) -> str | None:
        """Return the pinned version, or that of the last request; if that was over a second ago, ask an encoder."""
        if self.follows and time.monotonic() - self.model_time > STATUS_CACHE_SECONDS:
            self.model_time = time.monotonic()
            with suppress(OverloadedError, TimeoutError), _as_overloaded():
                async with asyncio.timeout(MODEL_TIMEOUT_SECONDS):
                    self.model = cast("str", await self.encoder.model.remote())
        return self.model

    async def _ready(self) -> str | None:
        """Check Serve's states of the replicas; a request to a replica would queue behind those of clients."""
        if time.monotonic() - self.status_time > STATUS_CACHE_SECONDS:
            self.problem, self.status_time = await asyncio.to_thread(_not_running), time.monotonic()
        return self.problem


@contextmanager
def _as_overloaded() -> Iterator[None]:
    """Convert transient failures (full queue, dead replica, unreadable storage) to OverloadedError."""
    try:
        yield
    except _TRANSIENT as error:
        raise OverloadedError from error


def _not_running() -> str | None:
    name = serve.get_replica_context().app_name
    for deployment, overview in serve.status().applications[name].deployments.items():
        if not overview.replica_states.get("RUNNING"):
            return f"no replica of {deployment} is running"
    return None
