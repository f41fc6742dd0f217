"""Feed of a playlist, channel or tag that yt-dlp can read."""

from __future__ import annotations

from viral.monitor.feeds.feed import FeedItem
from viral.monitor.feeds.web import WebAccess


class PageFeed:
    """The posts that a page lists. The page's host must be allowed; nothing here gets around a block."""

    def __init__(self, location: str, web: WebAccess) -> None:
        self.location, self._web = location, web

    def poll(self) -> list[FeedItem]:
        """List the posts. Raises FetchError, PostError."""
        return [FeedItem(url, url) for url in self._web.listed_urls(self.location)]
