"""The watch: one round polls each feed that is due, scans its new posts, and delivers alerts."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from viral.config import Settings
from viral.errors import FetchError, PostError, StorageError, ViralError
from viral.fetching.fetch import Fetcher, FetchTask
from viral.fetching.rate_limit import RateLimiter
from viral.media.locate import local_video
from viral.monitor.alerts.alert import MonitorAlert
from viral.monitor.alerts.outbox import Outbox, enqueue
from viral.monitor.feeds.feed import FeedItem, PostFeed
from viral.monitor.feeds.web import WebAccess
from viral.monitor.watch.health import FeedHealth
from viral.monitor.watch.reach import Reach
from viral.monitor.watch.record import SightedPost, record
from viral.monitor.watch.scan import Scanner
from viral.monitor.watch.seen import SeenPosts, digest
from viral.storage.store import Store, one_line
from viral.storage.temporary import temporary_folder

_TRIES = 3  # of a post in this process: what fails as often is marked, and looked at no more
_FOLDERS = "viral-watch-"
_MEANING = {
    "failing": "gives no valid answer: blocked, moved or down",
    "empty": "answers without any post, which it did not before: perhaps blocked",
    "quiet": "has brought no new post for a day",
}


@dataclass
class WatchSummary:
    """What a run did. `copies` joined the alert of an earlier post; `failed` posts could not be fetched or decoded."""

    polls: int = 0
    posts: int = 0
    sightings: int = 0
    copies: int = 0
    failed: int = 0
    delivered: int = 0
    failures: dict[str, int] = field(default_factory=dict)


@dataclass
class _WatchedFeed:
    name: str
    feed: PostFeed
    health: FeedHealth
    seen: SeenPosts
    next_poll: datetime


class Watch:
    """Watches feeds for targets.

    Args:
        store: the root.
        settings: limits, retention, time stamps.
        feeds: by the names that they were given.
        scanner: the detectors.
        outbox: delivers alerts.
        web: allowed hosts and limits of posts on the web.
        rate_limiter: schedules requests.
        log: called with one line per event.
        reach: predicts how far a sighted post will spread; None: not predicted.
        every: seconds between polls of a feed that answers.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        feeds: dict[str, PostFeed],
        scanner: Scanner,
        outbox: Outbox,
        web: WebAccess,
        rate_limiter: RateLimiter,
        log: Callable[[str], None],
        *,
        reach: Reach | None = None,
        every: float = 300.0,
        now: datetime,
    ) -> None:
        self.store, self.settings, self.scanner, self.outbox, self.reach = store, settings, scanner, outbox, reach
        self.web, self.rate_limiter, self.log, self.every = web, rate_limiter, log, every
        self.summary = WatchSummary()
        self._tries: Counter[str] = Counter()
        self.feeds = [
            _WatchedFeed(name, feed, FeedHealth.load(store, name), SeenPosts(store, name, now.date()), now)
            for name, feed in feeds.items()
        ]

    def round(self, now: datetime) -> datetime:
        """Poll the feeds that are due, handle their new posts, deliver; return the time of the next round."""
        for watched in self.feeds:
            if watched.next_poll <= now:
                self._poll(watched, now)
                watched.health.save(self.store)
                watched.next_poll = now + timedelta(seconds=watched.health.backoff(self.every))
                self.summary.delivered += self.outbox.deliver(now)
        self.summary.delivered += self.outbox.deliver(now)
        return min((watched.next_poll for watched in self.feeds), default=now)

    def _poll(self, watched: _WatchedFeed, now: datetime) -> None:
        self.summary.polls += 1
        try:
            items = _distinct(watched.feed.poll())
        except (FetchError, PostError, StorageError) as error:
            alarm = watched.health.failed(now)
            self.log(f"{watched.name}: {one_line(error)}; failure {watched.health.failures} in a row")
        except ViralError:
            raise  # of the request, not of the feed
        except Exception as error:  # noqa: BLE001 - plug-ins and parsers of untrusted answers may raise anything
            alarm = watched.health.failed(now)
            self.log(f"{watched.name}: {type(error).__name__}: {one_line(error)}")
        else:
            new = [item for item in items if item.post_id not in watched.seen]
            for item in new:
                self._handle(watched, item, now)
            watched.seen.compact((item.post_id for item in items), now.date())
            alarm = watched.health.polled(len(items), len(new), now)
        if alarm is not None:
            self._alarm(watched, alarm, now)

    def _alarm(self, watched: _WatchedFeed, alarm: str, now: datetime) -> None:
        title = f"The feed {watched.name} {_MEANING[alarm]}"
        identifier = digest(f"{watched.name} {alarm} {watched.health.since}")
        # Before sightings: while it lasts, none can come from this feed.
        enqueue(
            self.store,
            MonitorAlert(identifier, alarm, title, "Look at it: nothing is watched there.", 2.0, now.isoformat()),
        )

    def _handle(self, watched: _WatchedFeed, item: FeedItem, now: datetime) -> None:
        """Scan a post and mark it; a failure that may pass is tried again in later rounds."""
        self.summary.posts += 1
        try:
            with self._local(item) as path:
                self._look(watched.name, item, path)
        except (FetchError, PostError, _UnfetchedError) as error:
            self.summary.failed += 1
            self.summary.failures[error.reason] = self.summary.failures.get(error.reason, 0) + 1
            self._tries[f"{watched.name} {item.post_id}"] += 1
            self.log(f"{watched.name}: post {item.post_id}: {error.reason}: {one_line(error)}")
            if self._tries[f"{watched.name} {item.post_id}"] < _TRIES:
                return
        self._tries.pop(f"{watched.name} {item.post_id}", None)
        watched.seen.add(item.post_id, now.date())

    def _look(self, feed: str, item: FeedItem, path: Path) -> None:
        result = self.scanner.scan(path)
        if not result.found:
            return
        reach = self.reach.probability(path, item) if self.reach else None
        for found in result.found:
            own = record(
                self.store, self.settings.monitor, SightedPost(feed, item, path, result, reach), found, self.log
            )
            self.summary.sightings += 1
            self.summary.copies += not own

    @contextmanager
    def _local(self, item: FeedItem) -> Iterator[Path]:
        if item.video_uri is not None:
            with local_video(self.store, item.video_uri, self.settings.media.max_bytes) as path:
                yield path
            return
        assert item.url is not None
        # A store of its own, that is removed: of 10,000 posts a day, only the evidence is kept.
        with temporary_folder(_FOLDERS, Path(tempfile.gettempdir())) as folder:
            store = Store(folder)
            task = FetchTask(item.url, self.web.hosts.site(item.url), item.post_id)
            with Fetcher(store, self.settings, self.web.hosts, self.rate_limiter) as fetcher:
                fetched = fetcher.fetch(task)
            if fetched.video_uri is None:
                raise _UnfetchedError(fetched.reason or "page_error", fetched.detail or f"{item.url} is no video")
            yield Path(store.path(fetched.video_uri))


class _UnfetchedError(ViralError):
    """A post could not be fetched; `reason` is that of the fetch."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _distinct(items: Sequence[FeedItem]) -> list[FeedItem]:
    """Posts once each: feeds repeat themselves."""
    return list({item.post_id: item for item in reversed(items)}.values())[::-1]
