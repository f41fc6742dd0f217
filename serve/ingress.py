"""The ingress deployment: the HTTP face over handles to the other deployments."""

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

from serve.api import Backend, BusyError, Face, api
from serve.champion import followed
from serve.schemas import Draft, Encoded
from viral.errors import StorageError
from viral.extractors.extractor import Vector
from viral.scoring.scorer import Scored

READY_FOR_SECONDS = 1.0  # /healthz is open to all: what it asks Serve's controller is asked once a second at most
TOLD_WITHIN_SECONDS = 2.0
_PASSING = (
    BackPressureError,
    DeploymentUnavailableError,
    ReplicaUnavailableError,
    RayActorError,
    StorageError,
)


@serve.ingress()
class Ingress:
    """Serves `api`. The application is built in the replica: pickled, FastAPI loses what its annotations name.

    Args:
        face: what the face must know.
        model: what is served: a version, or the champion of a name.
        encoder: makes vectors.
        scorer: scores them.
    """

    def __init__(self, face: Face, model: str, encoder: DeploymentHandle, scorer: DeploymentHandle) -> None:
        self.face, self.encoder, self.scorer = face, encoder, scorer
        self.asked, self.missing = 0.0, cast("str | None", None)
        self.follows = followed(model) is not None
        self.told, self.model = 0.0, None if self.follows else model

    def __serve_build_asgi_app__(self) -> FastAPI:
        return api(self.face, Backend(self._encode, self._score, self._ready, self._model))

    async def _encode(self, draft: Draft) -> Encoded:
        with _as_busy():
            encoded = cast("Encoded", await self.encoder.remote(draft))
        self.told, self.model = time.monotonic(), encoded.model
        return encoded

    async def _score(self, vectors: Mapping[str, Vector | None], model: str) -> Scored | None:
        with _as_busy():
            return cast("Scored | None", await self.scorer.remote(dict(vectors), model))

    async def _model(self) -> str | None:
        """What the last answer was made by. Where none came lately an encoder has time to be asked."""
        if self.follows and time.monotonic() - self.told > READY_FOR_SECONDS:
            self.told = time.monotonic()
            with suppress(BusyError, TimeoutError), _as_busy():
                async with asyncio.timeout(TOLD_WITHIN_SECONDS):
                    self.model = cast("str", await self.encoder.model.remote())
        return self.model

    async def _ready(self) -> str | None:
        """By Serve's own health checks of the replicas: a request of ours would wait behind those of clients."""
        if time.monotonic() - self.asked > READY_FOR_SECONDS:
            self.missing, self.asked = await asyncio.to_thread(_missing), time.monotonic()
        return self.missing


@contextmanager
def _as_busy() -> Iterator[None]:
    """All that passes: full queues, replicas that died with the request, a champion that cannot be read just now."""
    try:
        yield
    except _PASSING as error:
        raise BusyError from error


def _missing() -> str | None:
    name = serve.get_replica_context().app_name
    for deployment, overview in serve.status().applications[name].deployments.items():
        if not overview.replica_states.get("RUNNING"):
            return f"no replica of {deployment} is running"
    return None
