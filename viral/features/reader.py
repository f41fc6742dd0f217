"""The first half of a post's way: its file is fetched and decoded, a little ahead of what asks for it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

from viral.config import Settings
from viral.errors import PostError, UnreadableError, ViralError
from viral.extractors.extractor import Context
from viral.media.limits import Limits
from viral.media.locate import local_video, remove_leftovers
from viral.media.media import Facts, Media
from viral.media.plan import Plan
from viral.media.requests import Request
from viral.media.sandbox import Sandbox
from viral.media.window import Window
from viral.storage.store import Store, one_line

AHEAD = 2  # files beyond the one waited for: one is decoded while the other is fetched


@dataclass(frozen=True)
class Job:
    """One post to be processed: where its video lies and what is known at the moment of posting.

    `requests` are asked of its file in place of those that its reader was made with; with a `window` the file is read
    as if it had been cut to it.
    """

    post_id: str
    video_uri: str | None
    context: Context = field(default_factory=Context)
    requests: tuple[Request, ...] | None = None
    window: Window | None = None


@dataclass(frozen=True)
class Decoded:
    """A post whose file was read: its `media`, or the `reason` and `detail` of why there is none.

    It can be sent from one process to another; `seconds` is what each stage took so far.
    """

    job: Job
    media: Media | None = None
    reason: str | None = None
    detail: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


class Reader:
    """Fetches and decodes in a sandbox, which is a child process: close it. It needs no torch.

    Args:
        requests: what is asked of each file.
        store: where keys below the root are read from.
        settings: limits of media and sandbox.
    """

    def __init__(self, requests: Iterable[Request], store: Store, settings: Settings) -> None:
        media, box = settings.media, settings.sandbox
        self.store, self.plan = store, Plan.of(requests)
        self.limits = Limits(
            max_bytes=media.max_bytes,
            max_seconds=media.max_seconds,
            max_pixels=media.max_pixels,
            seconds=box.seconds,
            memory_bytes=box.memory_bytes,
            recycle_after=box.recycle_after,
        )
        self.sandbox = Sandbox(self.limits)
        remove_leftovers()
        self._threads = ThreadPoolExecutor(AHEAD, thread_name_prefix="reader")
        self._turn = Lock()

    def run(self, jobs: Iterable[Job]) -> Generator[Decoded, None, None]:
        """Each job decoded, in their order; jobs are taken as they are needed."""
        waiting: deque[Future[Decoded]] = deque()
        try:
            for job in jobs:
                waiting.append(self._threads.submit(self._decoded, job))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                if not future.cancel():
                    future.exception()  # waits: its temporary file is gone then

    def close(self) -> None:
        """End the sandbox's process and the threads."""
        self.sandbox.close()
        self._threads.shutdown(cancel_futures=True)

    def _decoded(self, job: Job) -> Decoded:
        if job.video_uri is None and not self.plan.requests:
            return Decoded(job, Media(Facts()))  # words alone, for extractors that ask for nothing else
        seconds, started = {}, time.perf_counter()
        try:
            with local_video(self.store, job.video_uri, self.limits.max_bytes) as path:
                seconds["read"] = time.perf_counter() - started
                with self._turn:
                    started = time.perf_counter()
                    try:
                        plan = Plan.of(self.plan.requests if job.requests is None else job.requests, job.window)
                        return Decoded(job, self.sandbox.decode(str(path), plan), seconds=seconds)
                    finally:
                        seconds["decode"] = time.perf_counter() - started
        except PostError as error:
            reason, said = error.reason, one_line(error)
        except (ViralError, OSError):
            raise  # no child to be had, no space for a copy: that is not the post's fault
        except Exception as error:  # noqa: BLE001 - whatever a strange post makes a library raise costs one row
            reason, said = UnreadableError.reason, f"{type(error).__name__}: {one_line(error)}"
        seconds.setdefault("read", time.perf_counter() - started)
        return Decoded(job, None, reason, said, seconds)
