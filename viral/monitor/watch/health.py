"""State of a feed: whether its answers are valid, and whether it still brings posts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from viral.monitor.watch.seen import digest
from viral.storage.store import Store, read_json

FAILURES = 3  # in a row, before an alert: one or two are usual on the web
QUIET = timedelta(hours=24)  # most feeds worth watching bring something every day
MAX_BACKOFF_SECONDS = 3600.0  # a feed that comes back is then seen within the hour


@dataclass
class FeedHealth:
    """What became of the polls of a feed; times are ISO 8601.

    `alarm` is what was alerted and still holds: `failing`, `empty` (it listed posts before, and now none) or `quiet`.
    """

    feed: str
    failures: int = 0
    had_posts: bool = False
    empty: int = 0
    last_new: str | None = None
    alarm: str | None = None
    since: str | None = None

    @classmethod
    def load(cls, store: Store, feed: str) -> FeedHealth:
        """Read the state of a feed, or start one."""
        stored = read_json(store, _key(feed))
        return cls(**stored) if stored else cls(feed)

    def save(self, store: Store) -> None:
        """Write the state."""
        store.write(_key(self.feed), json.dumps(asdict(self)).encode())

    def polled(self, listed: int, new: int, now: datetime) -> str | None:
        """Note a valid answer; return the alarm that it raises, if any."""
        self.failures = 0
        self.empty = 0 if listed else self.empty + 1
        self.had_posts |= listed > 0
        if new or self.last_new is None:
            self.last_new = now.isoformat()
        if self.had_posts and self.empty >= FAILURES:
            return self._raise("empty", now)
        if now - datetime.fromisoformat(self.last_new) >= QUIET:
            return self._raise("quiet", now)
        self.alarm = self.since = None
        return None

    def failed(self, now: datetime) -> str | None:
        """Note a poll without a valid answer; return the alarm that it raises, if any."""
        self.failures += 1
        return self._raise("failing", now) if self.failures >= FAILURES else None

    def backoff(self, every: float) -> float:
        """Seconds to the next poll, twice as many after each failure."""
        return min(every * 2.0 ** min(self.failures, 16), max(MAX_BACKOFF_SECONDS, every))

    def _raise(self, alarm: str, now: datetime) -> str | None:
        if self.alarm == alarm:
            return None  # it was alerted already
        self.alarm, self.since = alarm, now.isoformat()
        return alarm


def _key(feed: str) -> str:
    return f"monitor/feeds/{digest(feed)}.json"
