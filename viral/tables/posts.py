"""The posts of a root, each with the files that were fetched for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from viral.errors import TableError
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.data_file import DataFile
from viral.tables.latest import latest_values_per_key
from viral.tables.schemas import POST_SLIDES, POST_VIDEOS, POSTS

_WEB_ADDRESS = "^https?://"
_SECOND = "second "  # prefix of columns with the values that are taken only where there is no better one


class PostsTable(BucketedTable):
    """One row per `post_id`, with the newest known value of each column; a web address never hides a stored file.

    Scrapes and downloads are separate tables, so that neither overwrites the other. `read` joins them: a post whose
    scrape names no stored files has the `video_uri`, `slides` and `sound_uri` of those that were fetched for it.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store, "posts", POSTS, key="post_id", newest_by="scraped_at", latest=_latest_post)
        self.videos = BucketedTable(store, "post_videos", POST_VIDEOS, key="post_id", newest_by="fetched_at")
        self.photo_sets = BucketedTable(store, "post_slides", POST_SLIDES, key="post_id", newest_by="fetched_at")

    def read(
        self,
        log2_buckets: int = 0,
        bucket: int = 0,
        columns: Sequence[str] | None = None,
        files: Sequence[DataFile] | None = None,
    ) -> pa.Table:
        """Read the posts of one bucket, ordered by id; without arguments, all posts."""
        names = self.schema.names if columns is None else list(columns)
        joins = ((self.videos, ("video_uri",)), (self.photo_sets, ("slides", "sound_uri")))
        joined = [(table, wanted) for table, own in joins if (wanted := [name for name in own if name in names])]
        if not joined:
            return super().read(log2_buckets, bucket, columns, files)
        # `files` lists files of the posts alone; the small tables of fetched files are listed anew.
        posts = super().read(log2_buckets, bucket, list(dict.fromkeys([*names, "post_id"])), files)
        for table, wanted in joined:
            posts = _with_fetched(posts, table.read(log2_buckets, bucket, ["post_id", *wanted]), wanted)
        return posts.select(names)


def _with_fetched(posts: pa.Table, fetched: pa.Table, names: Sequence[str]) -> pa.Table:
    """Replace the values of these columns that are no stored files by those that were fetched."""
    index = pc.index_in(posts["post_id"], fetched["post_id"].combine_chunks())
    for name in names if fetched.num_rows else ():
        values = pc.coalesce(fetched[name].take(index), posts[name])
        values = pc.if_else(_UNSTORED[name](posts), values, posts[name])
        posts = posts.set_column(posts.column_names.index(name), POSTS.field(name), values)
    return posts


def _latest_post(rows: pa.Table, key: str, newest_by: str | None) -> pa.Table:
    """Newest known value of each column; stored files before web addresses, an exact time before an inexact one."""
    worse = {name: is_worse for name, is_worse in _UNSTORED.items() if name in rows.column_names}
    if {"posted_at", "posted_at_from"} <= set(rows.column_names):
        worse["posted_at"] = _has_inexact_time
    # Split each such column in two, good values and worse ones: then the newest known value of each is taken as of any
    # other column, and the worse one fills in where no good one was ever seen.
    split = rows
    for name, is_worse in worse.items():
        mask, column = is_worse(rows), rows.column_names.index(name)
        split = split.set_column(column, POSTS.field(name), pc.if_else(mask, None, rows[name]))
        split = split.append_column(_SECOND + name, pc.if_else(mask, rows[name], None))
    latest = latest_values_per_key(split, key, newest_by)
    if "posted_at" in worse:
        column = latest.column_names.index("posted_at_from")
        # The origin belongs to the inexact time: an exact time has none.
        origins = pc.if_else(latest["posted_at"].is_valid(), None, latest["posted_at_from"])
        latest = latest.set_column(column, POSTS.field("posted_at_from"), origins)
    for name in worse:
        column = latest.column_names.index(name)
        latest = latest.set_column(column, POSTS.field(name), pc.coalesce(latest[name], latest[_SECOND + name]))
    return latest.select(rows.column_names)


def _has_inexact_time(posts: pa.Table) -> pa.Array:
    return posts["posted_at_from"].is_valid()


def no_posts_error(store: Store) -> TableError:
    """Error of a command that needs posts, for a root without any."""
    return TableError(f"the posts table of {store.root} is empty: ingest some first (viral ingest)")


def without_video(posts: pa.Table) -> pa.Array:
    """Mask of the posts without a stored video: without `video_uri`, or with a web address."""
    return _unstored(posts["video_uri"])


def is_web_address(uri: str) -> bool:
    """Whether a URI is a web address, which no stored file has."""
    return re.match(_WEB_ADDRESS, uri) is not None


def _without_slides(posts: pa.Table) -> pa.Array:
    """Mask of the posts without stored slides: without `slides`, or with a web address among them."""
    unstored = [not uris or any(map(is_web_address, uris)) for uris in posts["slides"].to_pylist()]
    return pa.chunked_array([pa.array(unstored, pa.bool_())])


def _unstored(uris: pa.ChunkedArray) -> pa.Array:
    return pc.or_kleene(pc.is_null(uris), pc.match_substring_regex(uris, _WEB_ADDRESS))


_UNSTORED: dict[str, Callable[[pa.Table], pa.Array]] = {
    "video_uri": without_video,
    "slides": _without_slides,
    "sound_uri": lambda posts: _unstored(posts["sound_uri"]),
}
"""Column of files → mask of the posts whose value is no stored file."""
