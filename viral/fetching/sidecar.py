"""What is kept beside a video: yt-dlp's description of it, or ours, as `viral ingest yt_dlp` reads it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from viral.fetching.download import Download

VIDEO_FILE = "video_file"
"""Our own field of an info file: the name of the video, in the same folder. Several infos may share one video."""

_NAMELESS = (None, "Generic", "HTML5MediaEmbed")  # yt-dlp's extractors of any site

# Signed addresses, headers and cookies of whoever fetched it, and what is of no use without them.
_LEFT_OUT = {
    *("url", "formats", "requested_formats", "requested_downloads", "requested_subtitles", "fragments"),
    *("http_headers", "cookies", "manifest_url", "fragment_base_url", "thumbnails", "thumbnail"),
    *("subtitles", "automatic_captions", "heatmap", "downloader_options", "_filename", "filename"),
}


def video_key(got: Download) -> str:
    """Where the video lies: named by what is in it, so that the same video is there once."""
    return f"videos/{got.sha256}.{got.extension}"


def info_key(got: Download, url: str) -> str:
    """Where the info file of the video from that address lies: one an address, for a repost is another post."""
    return f"videos/{got.sha256}-{hashlib.sha256(url.encode()).hexdigest()[:12]}.info.json"


def info_of(got: Download, url: str, post_id: str | None, found: Mapping[str, Any] | None) -> bytes:
    """The info file: what yt-dlp found, or, of a plain file, what is known of it.

    A video of no site that yt-dlp knows is named by its content: it would be called `index`, as many others.
    """
    said = _plain_values(found) if found else {}
    named = said.get("id") if said.get("extractor_key") not in _NAMELESS else None
    name = post_id or named or got.sha256
    own = {"_type": "video", "ext": got.extension, "filesize": got.bytes, VIDEO_FILE: video_key(got).rpartition("/")[2]}
    known = {"webpage_url": url, "epoch": int(time.time()), "extractor": "http"}
    return json.dumps(
        {**known, **said, **own, "id": name, "original_url": url}, ensure_ascii=False, default=str
    ).encode("utf-8", "replace")


def _plain_values(value: Any) -> Any:
    """The value without what is left out and without yt-dlp's private fields."""
    if isinstance(value, Mapping):
        return {
            str(name): _plain_values(each)
            for name, each in value.items()
            if name not in _LEFT_OUT and not str(name).startswith("_")
        }
    if isinstance(value, list | tuple):
        return [_plain_values(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
