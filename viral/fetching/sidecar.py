"""Info file next to a video, in the format that `viral ingest yt_dlp` reads: yt-dlp's metadata or a substitute."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from viral.fetching.download import Download

VIDEO_FILE = "video_file"
"""Field that only `viral` writes: the file name of the video in the same folder. Info files may share a video."""

_GENERIC_EXTRACTORS = (None, "Generic", "HTML5MediaEmbed")  # yt-dlp's extractors for any site

# Fields with signed URLs, headers or cookies of the user, and fields that are useless without these.
_EXCLUDED = {
    *("url", "formats", "requested_formats", "requested_downloads", "requested_subtitles", "fragments"),
    *("hls_aes", "hls_media_playlist_data"),
    *("http_headers", "cookies", "manifest_url", "fragment_base_url", "thumbnails", "thumbnail"),
    *("subtitles", "automatic_captions", "heatmap", "downloader_options", "_filename", "filename"),
}


def video_key(file: Download) -> str:
    """Key of the video, named by the hash of its content, so that equal videos are stored once."""
    return f"videos/{file.sha256}.{file.extension}"


def part_key(file: Download) -> str:
    """Key of a picture or sound of a photo set."""
    return f"photos/{file.sha256}.{file.extension}"


def info_key(file: Download, url: str) -> str:
    """Key of the info file: one per URL, because a repost is a different post."""
    # 48 bits of the URL's hash are enough, because a video has few URLs.
    return f"videos/{file.sha256}-{hashlib.sha256(url.encode()).hexdigest()[:12]}.info.json"


def info_json(file: Download, url: str, post_id: str | None, info: Mapping[str, Any] | None) -> bytes:
    """Content of the info file: yt-dlp's metadata `info` if there is any, completed by the facts of the download.

    Its `id` is `post_id`, or else that of yt-dlp. For a site without an extractor it is the SHA-256, because yt-dlp
    would call many of these videos `index`.
    """
    public = _public_values(info) if info else {}
    site_id = public.get("id") if public.get("extractor_key") not in _GENERIC_EXTRACTORS else None
    defaults = {"webpage_url": url, "epoch": int(time.time()), "extractor": "http"}
    # These describe the stored file, so they replace what the page says.
    fixed = {
        "_type": "video",
        "ext": file.extension,
        "filesize": file.bytes,
        VIDEO_FILE: video_key(file).rpartition("/")[2],
        # The post's own identifier first, so that ingesting the info file updates that post.
        "id": post_id or site_id or file.sha256,
    }
    fields = {**defaults, **public, **fixed, "original_url": url}
    return json.dumps(fields, ensure_ascii=False, default=str).encode("utf-8", "replace")


def _public_values(value: Any) -> Any:
    """Convert a value to JSON types, without the excluded fields and yt-dlp's private ones."""
    if isinstance(value, Mapping):
        return {
            str(name): _public_values(field)
            for name, field in value.items()
            if name not in _EXCLUDED and not str(name).startswith("_")  # private to yt-dlp
        }
    if isinstance(value, list | tuple):
        return [_public_values(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
