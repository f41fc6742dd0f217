"""Adapter for TikTok's own video objects, from the library TikTokApi (`Video.as_dict`) or TikTok's web pages.

The file is a JSON array, an object with `itemList` (at any depth), or one object per line. Video URLs expire, so
`video_uri` stays null until `viral fetch` downloads the videos by `page_url`.
"""

from __future__ import annotations

from collections.abc import Iterator

from viral.sources.json_rows import Paths, RawRow, Row, extract_texts, first_text, list_of_texts, to_batches
from viral.sources.json_stream import OpenFile, stream_rows
from viral.sources.parsed import RawBatch

PATHS: Paths = {
    "post_id": ("id",),
    "author_id": ("author.id", "author.uniqueId"),  # the numeric id survives a change of name
    "posted_at": ("createTime",),
    "caption": ("desc",),
    "sound_id": ("music.id",),
    "sound_title": ("music.title",),
    "sound_original": ("music.original",),
    "sound_uri": ("music.playUrl",),
    "duration_seconds": ("video.duration",),
    "views": ("statsV2.playCount", "stats.playCount"),  # V2 has exact counts, as text
    "likes": ("statsV2.diggCount", "stats.diggCount"),
    "comments": ("statsV2.commentCount", "stats.commentCount"),
    "shares": ("statsV2.shareCount", "stats.shareCount"),
    "saves": ("statsV2.collectCount", "stats.collectCount"),
    "author_followers": ("authorStatsV2.followerCount", "authorStats.followerCount"),
}


def raw_batches(open_file: OpenFile, file: str, batch_rows: int) -> Iterator[RawBatch]:
    """Yield the posts of a file in batches. Raises SourceError if the file has no video objects."""
    return to_batches(stream_rows(open_file, file, key="itemList", row_key="id"), _extract, PATHS, batch_rows)


def _extract(row: Row) -> RawRow:
    tags = list_of_texts(row, "textExtra", "hashtagName") or list_of_texts(row, "challenges", "title")
    return {**extract_texts(row, PATHS), "hashtags": tags, "page_url": _page_url(row)}


def _page_url(row: Row) -> str | None:
    author, post = first_text(row, "author.uniqueId"), first_text(row, "id")
    return f"https://www.tiktok.com/@{author}/video/{post}" if author and post else None
