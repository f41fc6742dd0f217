"""What a feed is, and how a feed is opened from `KIND:LOCATION`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol

from viral.errors import ConfigError
from viral.monitor.feeds.web import WebAccess

GROUP = "viral.feeds"
"""Entry points of other packages: a class `(location, web)` with `poll`."""
BUILT_IN = {
    "folder": "viral.monitor.feeds.folder:FolderFeed",
    "jsonl": "viral.monitor.feeds.json_lines:JsonLinesFeed",
    "rss": "viral.monitor.feeds.rss:RssFeed",
    "page": "viral.monitor.feeds.page:PageFeed",
    "tiktokapi": "viral.monitor.feeds.tiktok_api:TikTokApiFeed",
}


@dataclass(frozen=True)
class FeedItem:
    """A post that a feed lists: either `url`, a page or file of the web, or `video_uri`, a stored file.

    `post` is the post as the feed has it.
    """

    post_id: str
    url: str | None = None
    video_uri: str | None = None
    post: Mapping[str, Any] = field(default_factory=dict)

    @property
    def page_url(self) -> str | None:
        """Link for people."""
        for name in ("webpage_url", "page_url", "link", "url"):
            if isinstance(self.post.get(name), str):
                return str(self.post[name])
        return self.url


class PostFeed(Protocol):
    """A list of posts that grows."""

    location: str

    def poll(self) -> list[FeedItem]:
        """List the posts, newest or all. Raises FetchError, PostError, StorageError: there is no valid answer."""


def open_feed(text: str, web: WebAccess) -> PostFeed:
    """Open a feed by `KIND:LOCATION`, such as `rss:https://example.org/feed.xml`.

    Raises:
        ConfigError: there is no such kind, or its location cannot be used.
    """
    kind, _, location = text.partition(":")
    others = {point.name: point for point in entry_points(group=GROUP)}
    if not location or kind not in {**BUILT_IN, **others}:
        raise ConfigError(f"{text!r} is no feed: write KIND:LOCATION, with {', '.join([*BUILT_IN, *others])} as KIND")
    if kind in BUILT_IN:
        module, _, name = BUILT_IN[kind].partition(":")
        feed_class = getattr(import_module(module), name)
    else:
        feed_class = others[kind].load()
    feed: PostFeed = feed_class(location, web)
    return feed
