"""The client for ordinary code."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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


class Client:
    """Client of a scoring endpoint. Threads may share it.

    A request that meets a busy endpoint (429, 503) or a broken connection is sent again after a pause, until `timeout`.

    Args:
        url: address of the endpoint, such as `http://127.0.0.1:8000`.
        api_key: its key; None: `$VIRAL_API_KEY`, if set.
        timeout: seconds for each call, with all its attempts.

    Raises:
        ConfigError: an argument is not valid. Each method raises it, too, for arguments that cannot be sent.
    """

    def __init__(self, url: str, api_key: str | None = None, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self.url, self.timeout = url, check_seconds(timeout)
        self._pools: list[ThreadPoolExecutor] = []
        self._http = httpx.Client(**http_options(url, api_key))

    def score(
        self,
        file: VideoFile | None = None,
        *,
        uri: str | None = None,
        model: str | None = None,
        **context: Unpack[DraftContext],
    ) -> EndpointScore:
        """Score a draft: a video to upload, a video below the endpoint's root, or its texts alone.

        Args:
            file: path, bytes or open file of the video; it is read while it is sent.
            uri: key or URI of a video below the endpoint's root.
            model: `NAME`, `NAME/VERSION` or `NAME@champion`; None: the first model of the endpoint.
            context: what else is known of the draft (`DraftContext`).

        Raises:
            EndpointError: there is no score; `reason` says why.
        """
        return self._send(calls.score_call("/v1/score", file, uri, model, context))

    def explain(
        self,
        file: VideoFile | None = None,
        *,
        uri: str | None = None,
        model: str | None = None,
        changes: Sequence[str] | None = None,
        **context: Unpack[DraftContext],
    ) -> EndpointScore:
        """Score a draft with an `explanation`: associations in the model's data, not causes.

        Args:
            file: as in `score`, like `uri`, `model` and `context`.
            uri: as there.
            model: as there.
            changes: what-if changes such as `trim_start=1`, `caption=…`, `hour=18`: the explanation has these alone.
            context: as there.

        Raises:
            EndpointError: there is no score; `reason` says why.
        """
        return self._send(calls.score_call("/v1/explain", file, uri, model, context, changes))

    def compare(
        self,
        files: Sequence[VideoFile] = (),
        *,
        uris: Sequence[str] = (),
        model: str | None = None,
        **context: Unpack[DraftContext],
    ) -> tuple[ComparedDraft, ...]:
        """Rank 2 to 10 drafts with the same context, highest score first; each is named by its path or URI as given."""
        return self._send(calls.compare_call(files, uris, model, context))

    @overload
    def score_features(
        self, vectors: Sequence[Mapping[str, Iterable[float] | None]], *, model: str | None = None
    ) -> list[EndpointScore | None]: ...

    @overload
    def score_features(self, vectors: pa.Table, *, model: str | None = None) -> pa.Table: ...

    def score_features(self, vectors: Any, *, model: str | None = None) -> Any:
        """Score vectors that are ready, of up to 1024 posts.

        Args:
            vectors: per post a mapping from extractor to vector (None: the post lacks it), or a `pyarrow.Table` with a
                list column per extractor.
            model: as in `score`.

        Returns:
            The scores, None for a post without any of the model's inputs. For a table a table, with the columns
            `probability`, `percentile`, `known`, `score`, `low` and `high`.
        """
        if isinstance(vectors, Sequence):
            return self._send(calls.features_call(vectors, model))
        return self._send(calls.table_call(vectors, model))

    def score_posts(self, post_ids: Sequence[str], *, model: str | None = None) -> dict[str, EndpointScore | None]:
        """Score up to 1000 posts of the endpoint's root; None for one whose features the root does not have."""
        return self._send(calls.posts_call(post_ids, model))

    def score_batch(self, drafts: Sequence[DraftFields], *, model: str | None = None) -> EndpointJob:
        """Start a job that scores up to 10,000 drafts by their `uri`; `wait` for it."""
        return self._send(calls.batch_call(drafts, model))

    def job(self, job_id: str) -> EndpointJob:
        """Return the state of a job."""
        return self._send(calls.job_call(job_id))

    def wait(
        self, job_id: str, *, timeout: float | None = None, progress: ProgressCallback | None = None
    ) -> EndpointJob:
        """Wait until a job is done, and return it with its results.

        Args:
            job_id: `id` of the job.
            timeout: seconds to wait at most.
            progress: called after each look at the job.

        Raises:
            EndpointError: the job failed (`job_failed`), or is not done in time (`deadline`).
        """
        for pause in poll_pauses(job_id, timeout):
            job = self.job(job_id)
            if progress:
                progress(job.done, job.total or 0)
            if is_finished(job):
                return job
            time.sleep(pause)
        raise AssertionError("the pauses end with an error")

    def models(self) -> list[EndpointModel]:
        """List the models that the endpoint serves."""
        return self._send(calls.models_call())

    def ready(self) -> bool:
        """Whether the endpoint can be reached and is ready, by a single attempt."""
        try:
            return self._attempt(calls.ready_call(), Attempts(self.timeout))
        except EndpointError as error:
            if is_not_ready(error):
                return False
            raise

    def score_many(
        self, drafts: Sequence[DraftFields], *, concurrency: int = CONCURRENCY, progress: ProgressCallback | None = None
    ) -> Generator[EndpointScore | EndpointError, None, None]:
        """Score drafts, several at a time, and yield in their order the score of each, or the error in its place.

        Args:
            drafts: arguments of `score`, such as `{"file": "draft.mp4", "caption": "wait for it"}`.
            concurrency: requests at a time.
            progress: called after each draft, in order.
        """
        # No generator itself: wrong arguments are refused by the call, not by the first look at its results.
        requests = [calls.draft_call(draft) for draft in drafts]
        return self._send_many(requests, check_concurrency(concurrency), progress)

    def _send_many(
        self, requests: Sequence[EndpointCall[EndpointScore]], concurrency: int, progress: ProgressCallback | None
    ) -> Generator[EndpointScore | EndpointError, None, None]:
        waiting, futures = iter(requests), deque[Future[EndpointScore | EndpointError]]()
        pool = ThreadPoolExecutor(concurrency)
        self._pools.append(pool)
        try:
            for done in range(1, len(requests) + 1):
                room = LOOKAHEAD * concurrency - len(futures)
                futures += [pool.submit(self._outcome, call) for call in islice(waiting, room)]
                outcome = futures.popleft().result()
                if progress:
                    progress(done, len(requests))
                yield outcome
        finally:
            # Without waiting, so that a caller who leaves the loop goes on at once; `close` waits for what is in
            # flight.
            pool.shutdown(wait=False, cancel_futures=True)

    def _outcome(self, call: EndpointCall[EndpointScore]) -> EndpointScore | EndpointError:
        try:
            return self._send(call)
        except EndpointError as error:
            return error

    def _send(self, call: EndpointCall[T]) -> T:
        attempts = Attempts(self.timeout)
        while True:
            try:
                return self._attempt(call, attempts)
            except EndpointError as error:
                time.sleep(attempts.pause(error))

    def _attempt(self, call: EndpointCall[T], attempts: Attempts) -> T:
        with attempts.translated(), build_request(self._http, call, attempts) as request:
            response = self._http.send(request, stream=True)
            try:
                chunks = []
                # httpx limits each read; the look at the deadline also ends an answer that arrives in small pieces for
                # ever.
                for chunk in response.iter_bytes():
                    attempts.remaining()
                    chunks.append(chunk)
            finally:
                response.close()
            return read_answer(call, response, b"".join(chunks))

    def close(self) -> None:
        """Wait for the requests that a `score_many` has left in flight, then close the connections."""
        for pool in self._pools:  # a request that outlived the connections would leave a socket open
            pool.shutdown()
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"
