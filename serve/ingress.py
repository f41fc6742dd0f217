"""The ingress deployment: the HTTP API, and the scoring of vectors in the same process."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar, cast

import pyarrow as pa
import pyarrow.compute as pc
import ray
from fastapi import FastAPI
from ray import serve
from ray.exceptions import ObjectLostError, RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle

from serve.admission import Admission
from serve.api import ApiConfig, api
from serve.backend import Backend
from serve.cache import VectorCache
from serve.errors import OverloadedError
from serve.gate import Gate
from serve.jobs import JobStore
from serve.keys import Keyring
from serve.models import LoadedModel, ModelCache, model_infos
from serve.requests import DraftVideo, ScoreInput
from serve.schemas import BatchRequest
from serve.settings import EndpointSpec
from serve.telemetry import Telemetry
from viral.datasets.streams import from_table
from viral.errors import StorageError
from viral.features.feature_table import features_table
from viral.features.posts import DecodedPost, ExtractionRequest, ExtractionResult
from viral.media.media import Facts, Media
from viral.scoring.scorer import Score
from viral.storage.store import Store
from viral.tables.bucketed import bucket_of

T = TypeVar("T")

NODES_CACHE_SECONDS = 5.0  # a replica on a node that has just joined takes longer to load
STATUS_CACHE_SECONDS = 1.0  # /healthz needs no key: the cache bounds the load on Serve's controller
# Most requests in flight in one ingress replica; the time that they would wait limits them earlier.
LANE_LIMITS = {"text": 512, "media": 64, "vectors": 64, "explain": 8}
_TRANSIENT = (
    BackPressureError,
    DeploymentUnavailableError,
    ReplicaUnavailableError,
    RayActorError,
    ObjectLostError,
    StorageError,
)


@serve.ingress()
class Ingress:
    """Serves the HTTP API. Each replica builds the application, as FastAPI loses its annotations when pickled.

    Args:
        spec: settings of the endpoint.
        media: handle of `MediaDeployment`.
        encoder: handle of `EncoderDeployment`.
        explainer: handle of `ExplainerDeployment`.
        jobs: handle of `JobsDeployment`.
    """

    def __init__(
        self,
        spec: EndpointSpec,
        media: DeploymentHandle,
        encoder: DeploymentHandle,
        explainer: DeploymentHandle,
        jobs: DeploymentHandle,
    ) -> None:
        limits = spec.settings.serve
        self._spec, self._store = spec, Store(spec.root)
        self._media, self._encoder, self._explainer, self._jobs = media, encoder, explainer, jobs
        self._storage_threads = ThreadPoolExecutor(limits.max_fetching)
        self._models = ModelCache(spec, LoadedModel.load)
        self._cache = VectorCache(limits.cache_bytes)
        self._telemetry = Telemetry()
        self._status_time, self._problem_text = 0.0, cast("str | None", None)
        self._nodes_time, self._nodes = -math.inf, 1
        admission = Admission(
            limits.max_wait_seconds,
            limits.max_bytes_in_flight,
            {**LANE_LIMITS, "fetch": limits.max_fetching},
        )
        keys = Keyring(limits.keys_file, spec.key_digest)
        self._gate = Gate(keys, admission, limits.min_upload_rate, limits.request_seconds)

    def __serve_build_asgi_app__(self) -> FastAPI:
        backend = Backend(
            model=self._models.find,
            models=lambda: model_infos(self._models),
            extract=self._extract,
            explain=self._explain,
            compare=self._compare,
            score_posts=self._score_posts,
            submit_job=self._submit_job,
            job=self._job,
            problem=self._problem,
        )
        return api(ApiConfig(self._spec.root, self._spec.settings.serve.max_upload_bytes), self._gate, backend)

    async def drain(self) -> None:
        """Refuse new requests, and wait for those in flight."""
        await self._gate.drain()

    async def _extract(self, draft: ScoreInput, model: LoadedModel) -> ExtractionResult:
        with _as_overloaded():
            if draft.videos:
                result = await self._extract_video(draft, draft.videos[0], model)
            else:
                post = DecodedPost(ExtractionRequest("draft", None, draft.context), Media(Facts()))
                result = cast("ExtractionResult", await self._encoder.remote(post, model.name))
        self._telemetry.stages(result.stage_seconds)
        return result

    async def _extract_video(self, draft: ScoreInput, video: DraftVideo, model: LoadedModel) -> ExtractionResult:
        requests = model.feature_set.requests
        request = ExtractionRequest("draft", video.uri, draft.context, requests=requests)
        key = (video.sha256, model.feature_set.fingerprint) if video.sha256 else None
        known = self._cache.get(key) if key else None
        if known:
            self._telemetry.cached()
            post: Any = DecodedPost(request, Media(known.facts), reused=known)
        else:
            post = self._media.remote(request, await self._content(video))
        result = cast("ExtractionResult", await self._encoder.remote(post, model.name))
        if key and not known:
            by_media = {spec.name for spec in model.feature_set.specs if spec.needs}
            self._cache.put(key, result, by_media)
        return result

    async def _explain(self, draft: ScoreInput, model: str) -> dict[str, Any]:
        with _as_overloaded():
            return cast(
                "dict[str, Any]", await self._explainer.explain.remote(draft, model, await self._contents(draft))
            )

    async def _compare(self, draft: ScoreInput, model: str) -> dict[str, Any]:
        with _as_overloaded():
            return cast(
                "dict[str, Any]", await self._explainer.compare.remote(draft, model, await self._contents(draft))
            )

    async def _score_posts(self, posts: Sequence[str], model: LoadedModel) -> dict[str, Score | None]:
        with _as_overloaded():
            return await self._on_storage(partial(self._read_and_score, posts, model))

    def _read_and_score(self, posts: Sequence[str], model: LoadedModel) -> dict[str, Score | None]:
        """Read only the buckets of the table that hold the posts."""
        features, streams = features_table(self._store, model.feature_set), model.scorer.streams
        log2_buckets, keys = features.log2_buckets(), pa.chunked_array([pa.array(posts, pa.string())])
        scores: dict[str, Score | None] = dict.fromkeys(posts)
        for bucket in sorted(set(bucket_of(keys, log2_buckets).tolist())):
            rows = features.read(log2_buckets, bucket, ["post_id", *(stream.name for stream in streams)])
            rows = rows.filter(pc.is_in(rows["post_id"], keys.combine_chunks()))
            scores.update(zip(rows["post_id"].to_pylist(), model.score(from_table(streams, rows)), strict=True))
        return scores

    async def _submit_job(self, request: BatchRequest, model: str) -> str:
        with _as_overloaded():
            job = await self._on_storage(partial(JobStore(self._store).create, request, model))
            await self._jobs.submit.remote(job)
            return job

    async def _job(self, job: str) -> dict[str, Any] | None:
        with _as_overloaded():
            return await self._on_storage(partial(JobStore(self._store).status, job))

    async def _on_storage(self, work: Callable[[], T]) -> T:
        """Run in the threads for storage: one that stalls must not take those that score."""
        return await asyncio.get_running_loop().run_in_executor(self._storage_threads, work)

    async def _contents(self, draft: ScoreInput) -> list[Any]:
        return [await self._content(video) for video in draft.videos]

    async def _content(self, video: DraftVideo) -> Any:
        """Put an upload into Ray's object store if the cluster has several machines; elsewhere its path is enough."""
        if video.sha256 is None:
            return None
        if time.monotonic() - self._nodes_time > NODES_CACHE_SECONDS:
            self._nodes_time = time.monotonic()
            self._nodes = len(await asyncio.to_thread(ray.nodes))
        return await asyncio.to_thread(_put, video.uri) if self._nodes > 1 else None

    async def _problem(self) -> str | None:
        """Check Serve's states of the replicas; a request to a replica would queue behind those of clients."""
        if time.monotonic() - self._status_time > STATUS_CACHE_SECONDS:
            self._status_time = time.monotonic()
            self._problem_text = await asyncio.to_thread(_not_running)
        return self._problem_text


@contextmanager
def _as_overloaded() -> Iterator[None]:
    """Convert transient failures (dead replica, unreadable storage) to OverloadedError."""
    try:
        yield
    except _TRANSIENT as error:
        raise OverloadedError from error


def _put(path: str) -> list[Any]:
    import numpy as np

    return [ray.put(np.fromfile(path, np.uint8))]  # in a list: Serve would fetch a bare reference before the call


def _not_running() -> str | None:
    name = serve.get_replica_context().app_name
    for deployment, overview in serve.status().applications[name].deployments.items():
        needed = deployment != "Explainer"  # it starts with the first explanation
        if needed and not overview.replica_states.get("RUNNING"):
            return f"no replica of {deployment} is running"
    return None
