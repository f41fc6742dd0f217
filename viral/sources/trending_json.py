"""Adapter for dumps of the scraper `tiktok-scraper`: `{"collector": [...]}`, or only the array.

A dump lacks saves and the time of scraping. Video URLs expire, so `video_uri` stays null until `viral fetch` downloads
the videos by `page_url`.
"""

from __future__ import annotations

from collections.abc import Iterator

from viral.sources.json_rows import Paths, RawRow, Row, extract_texts, list_of_texts, to_batches
from viral.sources.json_stream import OpenFile, stream_rows
from viral.sources.parsed import RawBatch

PATHS: Paths = {
    "post_id": ("id",),
    "author_id": ("authorMeta.id", "authorMeta.name"),  # the numeric id survives a change of name
    "posted_at": ("createTime",),
    "caption": ("text",),
    "sound_id": ("musicMeta.musicId",),
    "sound_title": ("musicMeta.musicName",),
    "sound_original": ("musicMeta.musicOriginal",),
    "sound_uri": ("musicMeta.playUrl",),
    "duration_seconds": ("videoMeta.duration",),
    "views": ("playCount",),
    "likes": ("diggCount",),
    "comments": ("commentCount",),
    "shares": ("shareCount",),
    "author_followers": ("authorMeta.fans",),
    "page_url": ("webVideoUrl",),
}


def raw_batches(open_file: OpenFile, file: str, batch_rows: int) -> Iterator[RawBatch]:
    """Yield the posts of a dump in batches. Raises SourceError if the file is not a dump."""
    return to_batches(stream_rows(open_file, file, key="collector", row_key="id"), _extract, PATHS, batch_rows)


def _extract(row: Row) -> RawRow:
    return {**extract_texts(row, PATHS), "hashtags": list_of_texts(row, "hashtags", "name")}
