"""Feed of JSON Lines: one post with its address per line, in a file or at a web address."""

from __future__ import annotations

import json
from typing import Any

from viral.errors import PageError
from viral.monitor.feeds.feed import FeedItem
from viral.monitor.feeds.web import WebAccess
from viral.storage.store import open_uri
from viral.tables.posts import is_web_address

_ADDRESSES = ("video_url", "url", "webpage_url", "page_url")
_IDENTIFIERS = ("post_id", "id", "video_id")


class JsonLinesFeed:
    """Lines with an address (`url`, `webpage_url` …) and perhaps an `id`; a line that is none of these is left out."""

    def __init__(self, location: str, web: WebAccess) -> None:
        self.location, self._web = location, web

    def poll(self) -> list[FeedItem]:
        """Read all lines. Raises PageError if none is valid, and what reading raises."""
        lines = [line for line in self._read().decode("utf-8", "replace").splitlines() if line.strip()]
        items = [item for item in map(_item, lines) if item]
        if lines and not items:
            raise PageError(f"{self.location}: none of {len(lines)} lines is a JSON object with a `url`")
        return items

    def _read(self) -> bytes:
        if is_web_address(self.location):
            return self._web.get(self.location)
        try:
            with open_uri(self.location) as file:
                return file.read()
        except OSError as error:
            raise PageError(f"cannot read {self.location}: {error}") from error


def _item(line: str) -> FeedItem | None:
    try:
        post = json.loads(line)
    except ValueError:
        return None
    if not isinstance(post, dict):
        return None
    url = _first(post, _ADDRESSES)
    return FeedItem(_first(post, _IDENTIFIERS) or url, url, post=post) if url and is_web_address(url) else None


def _first(post: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((str(post[name]) for name in names if post.get(name)), None)
