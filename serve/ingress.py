"""The ingress deployment: the HTTP face over handles to the other deployments."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle

from serve.api import Backend, BusyError, Face, api
from serve.bodies import Draft
from viral.extractors.extractor import Vector
from viral.pipeline import Outcome
from viral.scorer import Scored

READY_FOR_SECONDS = 1.0  # /healthz is open to all: what it asks Serve's controller is asked once a second at most


@serve.ingress()
class Ingress:
    """Serves `api`. The application is built in the replica: pickled, FastAPI loses what its annotations name."""

    def __init__(self, face: Face, encoder: DeploymentHandle, model: DeploymentHandle) -> None:
        self.face, self.encoder, self.model = face, encoder, model
        self.asked, self.missing = 0.0, cast("str | None", None)

    def __serve_build_asgi_app__(self) -> FastAPI:
        return api(self.face, Backend(self._encode, self._score, self._ready))

    async def _encode(self, draft: Draft) -> Outcome:
        with _as_busy():
            return cast("Outcome", await self.encoder.remote(draft))

    async def _score(self, vectors: Mapping[str, Vector | None]) -> Scored | None:
        with _as_busy():
            return cast("Scored | None", await self.model.remote(dict(vectors)))

    async def _ready(self) -> str | None:
        """By Serve's own health checks of the replicas: a request of ours would wait behind those of clients."""
        if time.monotonic() - self.asked > READY_FOR_SECONDS:
            self.missing, self.asked = await asyncio.to_thread(_missing), time.monotonic()
        return self.missing


@contextmanager
def _as_busy() -> Iterator[None]:
    """Full queues, and replicas that died with the request, both mean that it may come again in a moment."""
    try:
        yield
    except (BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError, RayActorError) as error:
        raise BusyError from error


def _missing() -> str | None:
    name = serve.get_replica_context().app_name
    for deployment, overview in serve.status().applications[name].deployments.items():
        if not overview.replica_states.get("RUNNING"):
            return f"no replica of {deployment} is running"
    return None
