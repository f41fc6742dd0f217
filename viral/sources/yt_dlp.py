"""Adapter for one `*.info.json` of yt-dlp: a post with its video in the same folder, under the same stem.

The time of scraping is `epoch`, when yt-dlp ran. TikTok's share count is `repost_count`. A sound has a title but no
identifier, so `sound_id` stays null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from viral.sources.json_rows import Paths, RawRow, Row, extract_texts, first_text, to_batches
from viral.sources.json_stream import OpenFile
from viral.sources.parsed import MAX_RAW_CHARACTERS, BrokenRow, RawBatch

_FILE = "viral: info file"  # key that `_read` adds and `_extract` takes out again

PATHS: Paths = {
    "post_id": ("id",),
    "author_id": ("uploader_id", "uploader", "channel_id"),  # the fields that a site fills differ
    "posted_at": ("timestamp", "upload_date"),  # upload_date has no time of day
    "scraped_at": ("epoch",),  # when yt-dlp ran
    "caption": ("description", "title"),
    "sound_title": ("track",),
    "duration_seconds": ("duration",),
    "views": ("view_count",),
    "likes": ("like_count",),
    "comments": ("comment_count",),
    "shares": ("repost_count",),  # TikTok only
    "saves": ("save_count",),
    "author_followers": ("channel_follower_count",),
    "page_url": ("webpage_url",),
}


def raw_batches(
    open_file: OpenFile, files: Sequence[str], videos: Mapping[str, Sequence[str]], batch_rows: int
) -> Iterator[RawBatch]:
    """Yield the posts of some files, row n from the n-th; `videos` are those that lie beside a file.

    A file without a video becomes a `BrokenRow`, so that the rest of a folder is read.
    """
    rows = (_read(open_file, file, number) for number, file in enumerate(files, start=1))
    return to_batches(rows, lambda row: _extract(row, videos), PATHS, batch_rows)


def _read(open_file: OpenFile, file: str, number: int) -> tuple[int, object] | BrokenRow:
    with open_file(file) as stream:
        content = stream.read()
    try:
        row = json.loads(content)
    except (ValueError, RecursionError) as error:  # RecursionError: deeply nested input
        text = content[: 2 * MAX_RAW_CHARACTERS].decode("utf-8", "replace")
        return BrokenRow(number, f"the file is not JSON: {error}", text)
    if isinstance(row, dict) and row.get("_type", "video") != "video":  # a playlist or a channel
        return BrokenRow(number, f"_type is {row['_type']!r}, not a video", json.dumps(row)[:MAX_RAW_CHARACTERS])
    return number, {**row, _FILE: file} if isinstance(row, dict) else row


def _extract(row: Row, videos: Mapping[str, Sequence[str]]) -> RawRow:
    file = row.pop(_FILE)
    return {**extract_texts(row, PATHS), "video_uri": _video_uri(row, file, videos.get(file, ()))}


def _video_uri(row: Row, file: str, beside: Sequence[str]) -> str | None:
    folder, slash, _ = file.rpartition("/")
    if video_file := first_text(row, "video_file"):  # written by `viral fetch`: info files may share a video
        return f"{folder}{slash}{PurePosixPath(video_file).name}"
    extension = first_text(row, "ext")
    named = f"{stem_of(file)}.{extension}" if extension else None
    # yt-dlp may merge or remux into another container than the one that the file names.
    return named if named in beside or not beside else beside[0]


def stem_of(file: str) -> str:
    """Path of an info file without its endings; the video beside it has the same."""
    return file.removesuffix(".json").removesuffix(".info")
