"""One address after the other, or several at once, into the store: each ends as one outcome."""

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
from viral.fetching import cookies
from viral.fetching.deadline import Clock
from viral.fetching.download import Download, download
from viral.fetching.hosts import Hosts
from viral.fetching.http import Web
from viral.fetching.pages import Feed, Pages
from viral.fetching.rate_limit import Pacer
from viral.fetching.sidecar import info_key, info_of, video_key
from viral.storage.store import Store, failures_of, one_line

FEED = "feed"
"""The reason of an address that is done but for what it lists."""


@dataclass(frozen=True)
class Wanted:
    """An address to be fetched, the post that it is for, and how often it was tried before."""

    url: str
    site: str
    post_id: str | None = None
    attempts: int = 0


@dataclass(frozen=True)
class Outcome:
    """What became of one address; the fields are those of `tables.FETCHES`, but for `found`, what a feed lists."""

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
    found: tuple[str, ...] = ()


class Fetcher:
    """Fetches within limits. Holds connections and threads: close it.

    Args:
        store: where videos and their info files go.
        settings: limits of media and fetch.
        hosts: those that may be asked.
        pacer: gives the turns.
        cookie_text: the content of a cookie file.
        connections: addresses fetched at once.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        hosts: Hosts,
        pacer: Pacer,
        *,
        cookie_text: str | None = None,
        connections: int = 1,
    ) -> None:
        self.store, self.settings, self.connections = store, settings, connections
        self._jar = cookies.jar(cookie_text)
        self._web = Web(hosts, settings.fetch, pacer, self._jar)
        self._pool = ThreadPoolExecutor(connections)
        self._of_thread = local()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._web:
            self._pool.shutdown(cancel_futures=True)

    def run(self, wanted: Iterable[Wanted]) -> Iterator[Outcome]:
        """The outcome of each address, in their order; no more are begun ahead than there are connections."""
        waiting: deque[Future[Outcome]] = deque()
        for one in wanted:
            waiting.append(self._pool.submit(self.one, one))
            if len(waiting) > self.connections:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def one(self, wanted: Wanted) -> Outcome:
        """The outcome of one address.

        Raises:
            StorageError: the store cannot be written: that is no fault of the address.
        """
        known: dict[str, Any] = {"url": wanted.url, "host": wanted.site, "post_id": wanted.post_id}
        known["attempts"] = wanted.attempts + 1
        try:
            return Outcome(**known, status="done", fetched_at=_now(), **self._fetch(wanted))
        except (PostError, FetchError) as error:
            status = "skipped" if isinstance(error, HostNotAllowedError) else "failed"
            return Outcome(**known, status=status, fetched_at=_now(), reason=error.reason, detail=one_line(error))

    def _fetch(self, wanted: Wanted) -> dict[str, Any]:
        clock, limit = Clock(self.settings.fetch.seconds), self.settings.media.max_bytes
        with failures_of(tempfile.gettempdir()), _nameless_file() as path:
            if not self._pages.knows(wanted.url) and (got := download(self._web, wanted.url, path, limit, clock)):
                return self._kept(got, path, wanted, None)
            page = self._pages.read(wanted.url, clock)
            if isinstance(page, Feed):
                return {"reason": FEED, "found": page.urls}
            got = download(self._web, page.media_url, path, limit, clock, page.headers)
            if got is None:
                raise UnreadableError(f"{page.media_url} is said to be a video, and does not begin as one")
            return self._kept(got, path, wanted, page.info)

    def _kept(self, got: Download, path: Path, wanted: Wanted, info: Mapping[str, Any] | None) -> dict[str, Any]:
        """Put the video, unless it is there, and its info file after it: an info file never stands without a video."""
        key = video_key(got)
        if not self.store.exists(key):
            self.store.upload(path, key)
        self.store.write(info_key(got, wanted.url), info_of(got, wanted.url, wanted.post_id, info))
        return {"bytes": got.bytes, "sha256": got.sha256, "video_uri": key}

    @property
    def _pages(self) -> Pages:
        """This thread's reader of pages: yt-dlp is not for several."""
        if not hasattr(self._of_thread, "pages"):
            self._of_thread.pages = Pages(self._web, self._jar, self.settings.media.max_seconds)
        pages: Pages = self._of_thread.pages
        return pages


@contextmanager
def _nameless_file() -> Iterator[Path]:
    """The path of a temporary file that is in no folder, so that no kill leaves it behind."""
    with tempfile.TemporaryFile() as file:
        yield Path(f"/proc/self/fd/{file.fileno()}")


def _now() -> datetime:
    return datetime.now(UTC)
