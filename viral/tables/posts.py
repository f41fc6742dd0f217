"""The posts of a root, each with the video that was fetched for it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.data_file import DataFile
from viral.tables.latest import latest_values_per_key
from viral.tables.schemas import POST_VIDEOS, POSTS

_WEB_ADDRESS = "^https?://"


class PostsTable(BucketedTable):
    """One row per `post_id`, with the newest known value of each column; a web address never hides a stored video.

    Scrapes and downloads are separate tables, so that neither overwrites the other. `read` joins them: a post whose
    scrape names no stored video has the `video_uri` of the file that was fetched for it.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store, "posts", POSTS, key="post_id", newest_by="scraped_at", latest=_latest_post)
        self.videos = BucketedTable(store, "post_videos", POST_VIDEOS, key="post_id", newest_by="fetched_at")

    def read(
        self,
        log2_buckets: int = 0,
        bucket: int = 0,
        columns: Sequence[str] | None = None,
        files: Sequence[DataFile] | None = None,
    ) -> pa.Table:
        """Read the posts of one bucket, ordered by id; without arguments, all posts."""
        if columns is not None and "video_uri" not in columns:
            return super().read(log2_buckets, bucket, columns, files)
        names = self.schema.names if columns is None else columns
        posts = super().read(log2_buckets, bucket, list(dict.fromkeys([*names, "post_id"])), files)
        fetched = self.videos.read(log2_buckets, bucket, ["post_id", "video_uri"])
        uris = fetched["video_uri"].take(pc.index_in(posts["post_id"], fetched["post_id"].combine_chunks()))
        uris = pc.if_else(without_video(posts), pc.coalesce(uris, posts["video_uri"]), posts["video_uri"])
        column = posts.column_names.index("video_uri")
        return posts.set_column(column, POSTS.field("video_uri"), uris).select(list(names))


def _latest_post(rows: pa.Table, key: str, newest_by: str | None) -> pa.Table:
    if "video_uri" not in rows.column_names:
        return latest_values_per_key(rows, key, newest_by)
    index, uris = rows.column_names.index("video_uri"), rows["video_uri"]
    absent = without_video(rows)
    stored = rows.set_column(index, POSTS.field("video_uri"), pc.if_else(absent, None, uris))
    latest = latest_values_per_key(stored.append_column("web", pc.if_else(absent, uris, None)), key, newest_by)
    uris = pc.coalesce(latest["video_uri"], latest["web"])
    return latest.set_column(index, POSTS.field("video_uri"), uris).drop_columns("web")


def without_video(posts: pa.Table) -> pa.Array:
    """Mask of the posts without a stored video: without `video_uri`, or with a web address."""
    return pc.or_kleene(pc.is_null(posts["video_uri"]), pc.match_substring_regex(posts["video_uri"], _WEB_ADDRESS))
