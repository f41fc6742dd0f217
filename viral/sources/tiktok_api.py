"""TikTok's own video objects, as the library TikTokApi gives them (`Video.as_dict`) and its web pages hold them.

A JSON array, an object with `itemList` (at any depth), or one object a line. The video addresses expire: `video_uri`
stays null until the posts are fetched by `page_url`.
"""

from __future__ import annotations

from collections.abc import Iterator

from viral.sources.json_rows import Paths, Raw, Row, batches, names, scalar, scalars
from viral.sources.json_stream import OpenFile, stream
from viral.sources.parsed import RawBatch

PATHS: Paths = {
    "post_id": ("id",),
    "author_id": ("author.id", "author.uniqueId"),
    "posted_at": ("createTime",),
    "caption": ("desc",),
    "sound_id": ("music.id",),
    "sound_title": ("music.title",),
    "sound_original": ("music.original",),
    "sound_uri": ("music.playUrl",),
    "duration_seconds": ("video.duration",),
    "views": ("statsV2.playCount", "stats.playCount"),
    "likes": ("statsV2.diggCount", "stats.diggCount"),
    "comments": ("statsV2.commentCount", "stats.commentCount"),
    "shares": ("statsV2.shareCount", "stats.shareCount"),
    "saves": ("statsV2.collectCount", "stats.collectCount"),
    "author_followers": ("authorStatsV2.followerCount", "authorStats.followerCount"),
}


def raw_batches(open_file: OpenFile, file: str, batch_rows: int) -> Iterator[RawBatch]:
    """The posts of a file, in batches. Raises SourceError where the file holds no such objects."""
    return batches(stream(open_file, file, key="itemList", mark="id"), _extract, PATHS, batch_rows)


def _extract(row: Row) -> Raw:
    tags = names(row, "textExtra", "hashtagName") or names(row, "challenges", "title")
    return {**scalars(row, PATHS), "hashtags": tags, "page_url": _page(row)}


def _page(row: Row) -> str | None:
    author, post = scalar(row, "author.uniqueId"), scalar(row, "id")
    return f"https://www.tiktok.com/@{author}/video/{post}" if author and post else None
