"""Feed of a folder or bucket prefix: videos, with what a scraper wrote beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from viral.monitor.feeds.feed import FeedItem
from viral.monitor.feeds.web import WebAccess
from viral.storage.store import Store

VIDEO_FILES = (".mp4", ".mov", ".webm", ".mkv", ".m4v")
_INFO = ".info.json"  # of yt-dlp and of `viral fetch`


class FolderFeed:
    """Videos below a folder or `s3://` prefix. A file must appear whole: write it elsewhere and rename it."""

    def __init__(self, location: str, web: WebAccess) -> None:
        del web  # the folder is not of the web
        self.location = location
        self._store = Store.open(location)

    def poll(self) -> list[FeedItem]:
        """List the videos. Raises StorageError."""
        return list_videos(self._store)


def list_videos(store: Store) -> list[FeedItem]:
    """List the videos of a folder or prefix; the post is the file NAME.info.json beside it. Raises StorageError."""
    keys = [info.key for info in store.objects("")]
    infos = {key for key in keys if key.endswith(_INFO)}
    return list(_items(store, sorted(key for key in keys if key.lower().endswith(VIDEO_FILES)), infos))


def _items(store: Store, keys: list[str], infos: set[str]) -> Iterable[FeedItem]:
    for key in keys:
        stem = key.rpartition(".")[0]
        post = _info(store, f"{stem}{_INFO}") if f"{stem}{_INFO}" in infos else {}
        yield FeedItem(str(post.get("id") or stem), video_uri=store.uri(key), post=post)


def _info(store: Store, key: str) -> dict[str, Any]:
    try:
        post = json.loads(store.read(key))
    except (ValueError, FileNotFoundError):  # damaged, or deleted since the listing: the video is what counts
        return {}
    return post if isinstance(post, dict) else {}
