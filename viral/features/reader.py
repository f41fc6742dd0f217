"""First half of the pipeline: fetches and decodes videos, slightly ahead of the consumer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from viral.config import Settings
from viral.errors import PostError, UnreadableError, ViralError
from viral.features.files import PostFiles
from viral.features.posts import DecodedPost, ExtractionRequest
from viral.media.limits import MediaLimits
from viral.media.locate import COPIES
from viral.media.media import Facts, Media
from viral.media.plan import SamplingPlan
from viral.media.requests import Request
from viral.media.sandbox import Sandbox
from viral.storage.store import Store, one_line
from viral.storage.temporary import remove_abandoned

# While one file is decoded, the next is fetched. More threads would gain nothing, as the sandbox decodes one at a time.
_THREADS = 2
# Files in progress beyond the one that the consumer waits for: while networks run on a batch of 8 posts, the next batch
# is decoded, so that neither waits. A decoded post takes some 5 MB.
PREFETCHED_FILES = 8


class MediaReader:
    """Reads the videos and photo sets of posts: fetches each file and decodes it in a child process. Needs no torch.

    While one of its threads waits for the child, the others fetch the next files. Call `close` to end the threads
    and the child.

    Args:
        requests: what to read from each file.
        store: root of the videos.
        settings: limits on media and the sandbox.
        threads: files that are fetched at once.
    """

    def __init__(
        self, requests: Iterable[Request], store: Store, settings: Settings, *, threads: int = _THREADS
    ) -> None:
        self.store, self.plan = store, SamplingPlan.from_requests(requests)
        # Both sections have the names of its fields.
        self.limits = MediaLimits(**settings.media.model_dump(), **settings.sandbox.model_dump())
        self.sandbox = Sandbox(self.limits)
        self._files = PostFiles(store, self.limits.max_bytes)
        # A killed worker cannot remove its downloads.
        remove_abandoned(COPIES)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="reader")
        self._decoding = Lock()

    def read(self, requests: Iterable[ExtractionRequest]) -> Generator[DecodedPost, None, None]:
        """Yield the decoded posts, in order; requests are consumed as needed."""
        waiting: deque[Future[DecodedPost]] = deque()
        try:
            for request in requests:
                waiting.append(self._threads.submit(self._read, request))
                # Results come in the order of the requests: the consumer waits for the oldest one, while the next are
                # in progress.
                if len(waiting) > PREFETCHED_FILES:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                if not future.cancel():
                    future.exception()  # wait until its temporary file is removed

    def close(self) -> None:
        """End the child process and the threads; a running decode fails."""
        self.sandbox.kill()
        self._threads.shutdown(cancel_futures=True)
        self.sandbox.close()

    def _read(self, request: ExtractionRequest) -> DecodedPost:
        if not request.has_files and not self.plan.requests:
            return DecodedPost(request, Media(Facts()))  # text-only post, and no extractor needs a file
        seconds, started = {}, time.perf_counter()
        try:
            with self._files.local(request) as source:
                seconds["read"] = time.perf_counter() - started
                # The child decodes one file at a time. Waiting for it is not part of the time for decoding.
                with self._decoding:
                    started = time.perf_counter()
                    try:
                        media = self.sandbox.decode(source, self._plan(request))
                    finally:
                        seconds["decode"] = time.perf_counter() - started
                    return DecodedPost(request, media, stage_seconds=seconds)
        except PostError as error:
            reason, detail = error.reason, one_line(error)
        except (ViralError, OSError):
            raise  # the child cannot start or the disk is full: not the post's fault
        except Exception as error:  # noqa: BLE001 - an unexpected error of a library fails one post, not the job
            reason, detail = UnreadableError.reason, f"{type(error).__name__}: {one_line(error)}"
        seconds.setdefault("read", time.perf_counter() - started)
        return DecodedPost(request, None, reason, detail, seconds)

    def _plan(self, request: ExtractionRequest) -> SamplingPlan:
        requests = self.plan.requests if request.requests is None else request.requests
        return SamplingPlan.from_requests(requests, request.window)
