"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

import httpx

from viral.client import calls
from viral.client.answers import ComparedDraft, EndpointJob, EndpointModel, EndpointScore
from viral.client.attempts import Attempts, check_seconds
from viral.client.calls import DraftContext, DraftFields, EndpointCall
from viral.client.connection import (
    CONCURRENCY,
    LOOKAHEAD,
    TIMEOUT_SECONDS,
    ProgressCallback,
    build_request,
    check_concurrency,
    http_options,
    is_finished,
    is_not_ready,
    poll_pauses,
    read_answer,
)
from viral.client.uploads import VideoFile
from viral.errors import EndpointError

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


class AsyncClient:
    """`viral.client.Client` for asyncio: the same arguments, methods and errors. A cancelled call ends its request."""

    def __init__(self, url: str, api_key: str | None = None, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self.url, self.timeout = url, check_seconds(timeout)
        self._http = httpx.AsyncClient(**http_options(url, api_key))

    async def score(
        self,
        file: VideoFile | None = None,
        *,
        uri: str | None = None,
        model: str | None = None,
        **context: Unpack[DraftContext],
    ) -> EndpointScore:
        """Score a draft, as `Client.score` does."""
        return await self._send(calls.score_call("/v1/score", file, uri, model, context))

    async def explain(
        self,
        file: VideoFile | None = None,
        *,
        uri: str | None = None,
        model: str | None = None,
        changes: Sequence[str] | None = None,
        **context: Unpack[DraftContext],
    ) -> EndpointScore:
        """Score a draft with an explanation, as `Client.explain` does."""
        return await self._send(calls.score_call("/v1/explain", file, uri, model, context, changes))

    async def compare(
        self,
        files: Sequence[VideoFile] = (),
        *,
        uris: Sequence[str] = (),
        model: str | None = None,
        **context: Unpack[DraftContext],
    ) -> tuple[ComparedDraft, ...]:
        """Rank 2 to 10 drafts, as `Client.compare` does."""
        return await self._send(calls.compare_call(files, uris, model, context))

    @overload
    async def score_features(
        self, vectors: Sequence[Mapping[str, Iterable[float] | None]], *, model: str | None = None
    ) -> list[EndpointScore | None]: ...

    @overload
    async def score_features(self, vectors: pa.Table, *, model: str | None = None) -> pa.Table: ...

    async def score_features(self, vectors: Any, *, model: str | None = None) -> Any:
        """Score vectors that are ready, as `Client.score_features` does."""
        if isinstance(vectors, Sequence):
            return await self._send(calls.features_call(vectors, model))
        return await self._send(calls.table_call(vectors, model))

    async def score_posts(
        self, post_ids: Sequence[str], *, model: str | None = None
    ) -> dict[str, EndpointScore | None]:
        """Score posts of the endpoint's root, as `Client.score_posts` does."""
        return await self._send(calls.posts_call(post_ids, model))

    async def score_batch(self, drafts: Sequence[DraftFields], *, model: str | None = None) -> EndpointJob:
        """Start a job over many drafts, as `Client.score_batch` does."""
        return await self._send(calls.batch_call(drafts, model))

    async def job(self, job_id: str) -> EndpointJob:
        """Return the state of a job."""
        return await self._send(calls.job_call(job_id))

    async def wait(
        self, job_id: str, *, timeout: float | None = None, progress: ProgressCallback | None = None
    ) -> EndpointJob:
        """Wait until a job is done, as `Client.wait` does."""
        for pause in poll_pauses(job_id, timeout):
            job = await self.job(job_id)
            if progress:
                progress(job.done, job.total or 0)
            if is_finished(job):
                return job
            await asyncio.sleep(pause)
        raise AssertionError("the pauses end with an error")

    async def models(self) -> list[EndpointModel]:
        """List the models that the endpoint serves."""
        return await self._send(calls.models_call())

    async def ready(self) -> bool:
        """Whether the endpoint can be reached and is ready, by a single attempt."""
        try:
            return await self._attempt(calls.ready_call(), Attempts(self.timeout))
        except EndpointError as error:
            if is_not_ready(error):
                return False
            raise

    def score_many(
        self, drafts: Sequence[DraftFields], *, concurrency: int = CONCURRENCY, progress: ProgressCallback | None = None
    ) -> AsyncGenerator[EndpointScore | EndpointError, None]:
        """Score drafts several at a time, as `Client.score_many` does."""
        # No generator itself: wrong arguments are refused by the call, not by the first look at its results.
        requests = [calls.draft_call(draft) for draft in drafts]
        return self._send_many(requests, check_concurrency(concurrency), progress)

    async def _send_many(
        self, requests: Sequence[EndpointCall[EndpointScore]], concurrency: int, progress: ProgressCallback | None
    ) -> AsyncGenerator[EndpointScore | EndpointError, None]:
        waiting, tasks = iter(requests), deque[asyncio.Task[EndpointScore | EndpointError]]()
        slots = asyncio.Semaphore(concurrency)
        try:
            for done in range(1, len(requests) + 1):
                room = LOOKAHEAD * concurrency - len(tasks)
                tasks += [asyncio.create_task(self._outcome(call, slots)) for call in islice(waiting, room)]
                # It stays in `tasks` until it has ended, so that `finally` also waits for it if this call is cancelled
                # here.
                outcome = await tasks[0]
                tasks.popleft()
                if progress:
                    progress(done, len(requests))
                yield outcome
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _outcome(
        self, call: EndpointCall[EndpointScore], slots: asyncio.Semaphore
    ) -> EndpointScore | EndpointError:
        async with slots:
            try:
                return await self._send(call)
            except EndpointError as error:
                return error

    async def _send(self, call: EndpointCall[T]) -> T:
        attempts = Attempts(self.timeout)
        while True:
            try:
                return await self._attempt(call, attempts)
            except EndpointError as error:
                await asyncio.sleep(attempts.pause(error))

    async def _attempt(self, call: EndpointCall[T], attempts: Attempts) -> T:
        with attempts.translated(), build_request(self._http, call, attempts) as request:
            # httpx limits each read; this also ends an answer that arrives in small pieces for ever.
            async with asyncio.timeout(attempts.remaining()):
                response = await self._http.send(request, stream=True)
                try:
                    body = await response.aread()
                finally:
                    await response.aclose()
            return read_answer(call, response, body)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"
