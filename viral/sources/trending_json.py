"""The dump of the scraper `tiktok-scraper`: `{"collector": [...]}`, or the array alone.

It has no followers, saves or time of scraping, and its video addresses expire: `video_uri` stays null until the posts
are fetched by `page_url`.
"""

from __future__ import annotations

from collections.abc import Iterator

from viral.sources.json_rows import Paths, Raw, Row, batches, names, scalars
from viral.sources.json_stream import OpenFile, stream
from viral.sources.parsed import RawBatch

PATHS: Paths = {
    "post_id": ("id",),
    "author_id": ("authorMeta.id", "authorMeta.name"),
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
    """The posts of a dump, in batches. Raises SourceError where the file is no such dump."""
    return batches(stream(open_file, file, key="collector", mark="id"), _extract, PATHS, batch_rows)


def _extract(row: Row) -> Raw:
    return {**scalars(row, PATHS), "hashtags": names(row, "hashtags", "name")}
