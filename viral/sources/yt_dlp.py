"""One `*.info.json` of yt-dlp: a post whose video lies beside it, with the same stem.

`epoch` is when yt-dlp ran, so it is the time of scraping. TikTok's share count arrives as `repost_count`, and a sound
by its title only: without an identifier, `sound_id` stays null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath

from viral.sources.json_rows import Paths, Raw, Row, batches, scalar, scalars
from viral.sources.json_stream import OpenFile
from viral.sources.parsed import Broken, RawBatch

PATHS: Paths = {
    "post_id": ("id",),
    "author_id": ("uploader_id", "uploader", "channel_id"),
    "posted_at": ("timestamp", "upload_date"),
    "scraped_at": ("epoch",),
    "caption": ("description", "title"),
    "sound_title": ("track",),
    "duration_seconds": ("duration",),
    "views": ("view_count",),
    "likes": ("like_count",),
    "comments": ("comment_count",),
    "shares": ("repost_count",),
    "saves": ("save_count",),
    "author_followers": ("channel_follower_count",),
    "page_url": ("webpage_url",),
}


def raw_batches(open_file: OpenFile, file: str, batch_rows: int) -> Iterator[RawBatch]:
    """The one post of a file. A file that is no JSON, or a playlist's, is a broken row: it must not end a folder."""
    return batches([_read(open_file, file)], lambda row: _extract(row, file), PATHS, batch_rows)


def _read(open_file: OpenFile, file: str) -> tuple[int, object] | Broken:
    with open_file(file) as stream:
        content = stream.read()
    try:
        row = json.loads(content)
    except (ValueError, RecursionError) as error:
        return Broken(1, f"the file is not JSON: {error}", content[:8192].decode("utf-8", "replace"))
    if isinstance(row, dict) and row.get("_type", "video") != "video":
        return Broken(1, f"_type is {row['_type']!r}, not a video", json.dumps(row)[:8192])
    return 1, row


def _extract(row: Row, file: str) -> Raw:
    return {**scalars(row, PATHS), "video_uri": _beside(row, file)}


def _beside(row: Row, file: str) -> str | None:
    if named := scalar(row, "video_file"):  # of `viral fetch`: several infos may share one video
        return PurePosixPath(named).name
    extension = scalar(row, "ext")
    stem = PurePosixPath(file).name.removesuffix(".json").removesuffix(".info")
    return f"{stem}.{extension}" if extension else None
