"""Fetch URLs into the store, several at the same time."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import local
from types import TracebackType
from typing import Any, Self

from viral.config import Settings
from viral.errors import FetchError, HostNotAllowedError, PostError, UnreadableError
from viral.fetching.cookies import cookie_jar
from viral.fetching.deadline import Deadline
from viral.fetching.download import Download, download
from viral.fetching.hosts import AllowedHosts
from viral.fetching.http import LimitedClient
from viral.fetching.page_video import PageDownloader
from viral.fetching.pages import Feed, PageReader
from viral.fetching.rate_limit import RateLimiter
from viral.fetching.sidecar import info_json, info_key, part_key, video_key
from viral.fetching.signatures import part_extension
from viral.storage.store import Store, one_line, storage_errors
from viral.storage.temporary import remove_abandoned, temporary_folder

FEED = "feed"
"""Value of `reason` for a feed. Its status is `done`, and the URLs that it lists are fetched later."""
FOLDERS = "viral-fetch-"  # start of the names of temporary folders


@dataclass(frozen=True)
class FetchTask:
    """URL to fetch, with its site, the post that it belongs to, and the number of earlier attempts.

    `part`: it is a picture or the sound of a photo set, and no page.
    """

    url: str
    site: str
    post_id: str | None = None
    attempts: int = 0
    part: bool = False


@dataclass(frozen=True)
class FetchResult:
    """Result of one URL: the columns of `schemas.FETCHES`, and the URLs that a feed lists."""

    url: str
    host: str
    status: str
    attempts: int
    fetched_at: datetime
    reason: str | None = None
    detail: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    video_uri: str | None = None
    post_id: str | None = None
    listed_urls: tuple[str, ...] = ()


class Fetcher:
    """Downloader of URLs into a store. Owns connections and threads: use it as a context manager.

    Args:
        store: receives the videos and their info files.
        settings: limits, from the sections `media` and `fetch`.
        hosts: allowed hosts.
        rate_limiter: schedules the requests.
        cookie_text: content of a cookie file.
        connections: number of URLs to fetch at the same time.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        hosts: AllowedHosts,
        rate_limiter: RateLimiter,
        *,
        cookie_text: str | None = None,
        connections: int = 1,
    ) -> None:
        self.store, self.settings, self.connections = store, settings, connections
        self._cookies = cookie_jar(cookie_text)
        self._client = LimitedClient(hosts, settings.fetch, rate_limiter, self._cookies)
        self._page_downloader = PageDownloader(self._client, settings)
        remove_abandoned(FOLDERS)
        self._pool = ThreadPoolExecutor(connections)
        self._thread_local = local()  # with a page reader per thread

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._client:
            self._pool.shutdown(cancel_futures=True)  # before the connections close
            self._page_downloader.close()

    def fetch_all(self, tasks: Iterable[FetchTask]) -> Iterator[FetchResult]:
        """Fetch the URLs and yield the results in the order of the tasks, with `connections` tasks in progress."""
        pending: deque[Future[FetchResult]] = deque()
        for task in tasks:
            pending.append(self._pool.submit(self.fetch, task))
            if len(pending) > self.connections:  # limits how far `tasks` is read ahead
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def fetch(self, task: FetchTask) -> FetchResult:
        """Fetch one URL; the result describes a failure. Raises StorageError if the store cannot be written."""
        fields: dict[str, Any] = {"url": task.url, "host": task.site, "post_id": task.post_id}
        fields["attempts"] = task.attempts + 1
        try:
            return FetchResult(**fields, status="done", fetched_at=_now(), **self._fetch(task))
        except (PostError, FetchError) as error:
            # Not a fault of the URL: the user has not allowed the host.
            status = "skipped" if isinstance(error, HostNotAllowedError) else "failed"
            return FetchResult(**fields, status=status, fetched_at=_now(), reason=error.reason, detail=one_line(error))

    def _fetch(self, task: FetchTask) -> dict[str, Any]:
        deadline, max_bytes, pages = Deadline(self.settings.fetch.seconds), self.settings.media.max_bytes, self._pages
        if task.part:
            return self._fetch_part(task, deadline)
        with storage_errors(tempfile.gettempdir()), _unlinked_file() as path:
            # A URL of a known site is always a page; of any other, the answer shows whether it is a video itself.
            if not pages.supports(task.url) and (file := download(self._client, task.url, path, max_bytes, deadline)):
                return self._store(file, path, task, None)
            page = pages.read(task.url, deadline)
            if isinstance(page, Feed):
                return {"reason": FEED, "listed_urls": page.urls}
        # A folder, not an unlinked file: other processes write and check these files, and need their paths.
        with storage_errors(tempfile.gettempdir()), temporary_folder(FOLDERS) as folder:
            video = self._page_downloader.download(page, folder, deadline)
            stored = self._store(video.file, video.path, task, video.info)
            return {**stored, "reason": video.reason, "detail": video.detail}

    def _fetch_part(self, task: FetchTask, deadline: Deadline) -> dict[str, Any]:
        with storage_errors(tempfile.gettempdir()), _unlinked_file() as path:
            max_bytes = self.settings.media.max_bytes
            file = download(self._client, task.url, path, max_bytes, deadline, extension_of=part_extension)
            if file is None:
                raise UnreadableError(f"{task.url} is neither a picture nor a sound")
            key = part_key(file)
            # Named by content: another post may have the same file.
            if not self.store.exists(key):
                self.store.upload(path, key)
        return {"bytes": file.bytes, "sha256": file.sha256, "video_uri": key}

    def _store(self, file: Download, path: Path, task: FetchTask, info: Mapping[str, Any] | None) -> dict[str, Any]:
        """Upload the video unless it exists, then its info file, so that every info file has its video."""
        key = video_key(file)
        if not self.store.exists(key):  # the key is the hash of the content
            self.store.upload(path, key)
        self.store.write(info_key(file, task.url), info_json(file, task.url, task.post_id, info))
        return {"bytes": file.bytes, "sha256": file.sha256, "video_uri": key}

    @property
    def _pages(self) -> PageReader:
        """Page reader of the current thread, because yt-dlp is not thread-safe."""
        if not hasattr(self._thread_local, "pages"):
            self._thread_local.pages = PageReader(self._client, self._cookies, self.settings.media.max_seconds)
        pages: PageReader = self._thread_local.pages
        return pages


@contextmanager
def _unlinked_file() -> Iterator[Path]:
    """Yield the path of a temporary file without a directory entry: even a killed process leaves no file behind."""
    with tempfile.TemporaryFile() as file:
        yield Path(f"/proc/self/fd/{file.fileno()}")


def _now() -> datetime:
    return datetime.now(UTC)
