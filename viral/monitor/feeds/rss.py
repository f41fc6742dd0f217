"""Feed in RSS or Atom."""

from __future__ import annotations

import io
from typing import Any

from viral.errors import ConfigError, PageError
from viral.monitor.feeds.feed import FeedItem
from viral.monitor.feeds.web import WebAccess

_POST = ("title", "link", "author", "published", "summary")  # of an entry, kept as the post


class RssFeed:
    """Entries with a link; an enclosure, where there is one, is the video itself."""

    def __init__(self, location: str, web: WebAccess) -> None:
        self.location, self._web = location, web
        try:
            import feedparser  # noqa: F401 - a missing package shows before the watch begins
        except ImportError as error:
            raise ConfigError("RSS feeds need feedparser: pip install 'viral[monitor]'") from error

    def poll(self) -> list[FeedItem]:
        """List the entries. Raises PageError if the answer is no feed, and what reading raises."""
        import feedparser

        parsed = feedparser.parse(io.BytesIO(self._web.get(self.location)))
        # `version` is empty where the root element is none of a feed: a block page is no quiet feed.
        if not parsed.version:
            raise PageError(f"{self.location} answers with something that is no RSS or Atom feed: blocked or moved?")
        return [item for item in map(_item, parsed.entries) if item]


def _item(entry: Any) -> FeedItem | None:
    videos = [link.href for link in entry.get("enclosures", ()) if str(link.get("type", "")).startswith("video/")]
    url = next((address for address in (*videos, entry.get("link")) if address), None)
    post = {name: str(entry[name]) for name in _POST if entry.get(name)}
    return FeedItem(str(entry.get("id") or url), str(url), post=post) if url else None
