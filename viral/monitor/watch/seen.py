"""Which posts of a feed were handled; kept in the root, so that a restart neither repeats nor misses any."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import date, timedelta

from viral.storage.store import Store, read_json

KEPT_DAYS = 30
"""A post that its feed has not listed for so long is forgotten, so that the state stays small."""


class SeenPosts:
    """Posts by day of their last listing. Each handled post is one small object until `compact` merges them.

    Args:
        store: the root.
        feed: the feed as it was named.
        today: the current day.
    """

    def __init__(self, store: Store, feed: str, today: date) -> None:
        self._store, self._prefix = store, f"monitor/seen/{digest(feed)}"
        self._days: dict[str, str] = {}
        for key in sorted(info.key for info in store.objects(self._prefix)):
            folder, _, name = key.removeprefix(f"{self._prefix}/").rpartition("/")
            if folder:  # a mark
                self._days[name] = today.isoformat()
            else:
                self._days |= dict.fromkeys((read_json(store, key) or {}).get("posts", ()), name.removesuffix(".json"))
        self._stored = dict(self._days)

    def __contains__(self, post_id: str) -> bool:
        return digest(post_id) in self._days

    def __len__(self) -> int:
        return len(self._days)

    def add(self, post_id: str, today: date) -> None:
        """Mark a post as handled, at once."""
        name = digest(post_id)
        self._store.write(f"{self._prefix}/marks/{name}", b"")
        self._days[name] = today.isoformat()

    def compact(self, listed: Iterable[str], today: date) -> None:
        """Merge the marks into one object per day, and forget posts that were not listed for `KEPT_DAYS`."""
        day, oldest = today.isoformat(), (today - timedelta(days=KEPT_DAYS)).isoformat()
        for name in map(digest, listed):
            if name in self._days:
                self._days[name] = day
        self._days = {name: last for name, last in self._days.items() if last >= oldest}
        days, stored = self._days, self._stored
        moved = [name for name in {**stored, **days} if days.get(name) != stored.get(name)]
        changed = {last for name in moved for last in (days.get(name), stored.get(name)) if last}
        names: dict[str, list[str]] = {last: [] for last in changed}
        for name, last in days.items():
            if last in changed:
                names[last].append(name)
        # Today's first: a post that moves there is then in two days for a moment, never in none.
        for last in sorted(changed, reverse=True):
            if names[last]:
                self._store.write(f"{self._prefix}/{last}.json", json.dumps({"posts": sorted(names[last])}).encode())
            else:
                self._store.delete([f"{self._prefix}/{last}.json"])
        self._stored = dict(days)
        self._store.delete([info.key for info in self._store.objects(f"{self._prefix}/marks")])


def digest(text: str) -> str:
    """Identify a text in keys: 64 bits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
