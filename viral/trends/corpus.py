"""The posts of a root in a DuckDB database, as the figures of trends need them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from viral.duplicates.clusters import video_clusters
from viral.duplicates.videos import feature_tables, video_columns
from viral.errors import TableError
from viral.storage.store import Store
from viral.storage.temporary import remove_abandoned, temporary_folder
from viral.tables.places import posts_table
from viral.tables.posts import no_posts_error
from viral.trends.window import TrendWindows, end_of_windows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PREFIX = "viral-trends-"
# DuckDB's own; beyond it, it writes to the temporary folder. With Python and Arrow, a command then stays under 4 GiB.
MEMORY = "1500MB"
_SETTINGS = (
    f"memory_limit = '{MEMORY}'",
    "TimeZone = 'UTC'",
    "preserve_insertion_order = false",
    "enable_progress_bar = false",
)
COLUMNS = (
    *("post_id", "author_id", "posted_at", "scraped_at", "caption", "hashtags", "sound_id", "sound_title"),
    *("views", "author_followers", "page_url", "video_uri", "duration_seconds", "sound_original", "kind"),
    *("is_ad", "made_with_ai"),
)
"""Columns of posts that trends read."""

VIRAL_TOP = 0.25  # share of posts that count as viral, as in `viral label`
AGE_POSTS = 100  # posts of about the same age to compare views with: a percentile needs as many
AGE_GROUPS = 20  # per doubling of the age, at most: finer ones would compare no better

# A time after the scrape, or in the future, is that of a wrong clock.
_VALID = "posted_at <= coalesce(scraped_at, $now)"
_POSTS = f"""
CREATE TABLE post AS
SELECT i, post_id, posted_at, coalesce(a.author, -1 - i) AS author, clip, views, author_followers, caption, hashtags,
    nullif(sound_id, '') AS sound_id, sound_title, scraped_at,
    CAST(floor(epoch($as_of - posted_at) / ($days * 86400)) AS INTEGER) AS window_number
FROM stored LEFT JOIN (
    SELECT author_id, row_number() OVER () AS author FROM (SELECT DISTINCT author_id FROM stored WHERE author_id <> '')
) AS a USING (author_id)
LEFT JOIN clips USING (i)
WHERE {_VALID} AND posted_at <= $as_of
"""  # noqa: S608 - names and numbers of ours
"""Author and clip as numbers; a post without author is its own author."""

# Posts without a scrape time were scraped at once: among them, those of about one posting time are of one age. Of the
# others, none is twice as old as another of its group: a scrape may hold two ages with nothing in between.
_REACH = f"""
CREATE TABLE reach AS
WITH aged AS (
    SELECT i, views, CASE WHEN scraped_at IS NULL THEN epoch(posted_at) ELSE epoch(scraped_at - posted_at) END AS age,
        CASE WHEN scraped_at IS NULL THEN -1 ELSE floor(log2(greatest(age / 3600, 1))) END AS doubling
    FROM post WHERE views IS NOT NULL
), sized AS (
    SELECT *, count(*) OVER (PARTITION BY doubling) AS size FROM aged
), grouped AS (
    SELECT i, views, doubling, ntile(least({AGE_GROUPS}, greatest(1, size // {AGE_POSTS})))
        OVER (PARTITION BY doubling ORDER BY age, i) AS age_group FROM sized
)
SELECT i, (rank() OVER fewer - 1 + count(*) OVER same / 2) / count(*) OVER grp AS reach
FROM grouped
WINDOW fewer AS (PARTITION BY doubling, age_group ORDER BY views),
    same AS (PARTITION BY doubling, age_group, views), grp AS (PARTITION BY doubling, age_group)
"""  # noqa: S608 - names and numbers of ours
_COUNTS = """
SELECT (SELECT count(*) FROM stored), count(*), count(*) FILTER (views IS NULL), count(DISTINCT clip) FROM post
"""
# `topics` and `new_sounds` fill these.
_EMPTY = ("CREATE TABLE topic (item VARCHAR, i BIGINT)", "CREATE TABLE predicted (item VARCHAR)")
_FACTS = "CREATE VIEW fact AS SELECT i, views, author_followers, reach FROM post LEFT JOIN reach USING (i)"


@dataclass(frozen=True)
class Corpus:
    """An open database with the tables `post` and `reach`, its windows, and what the posts lack.

    Attributes:
        database: connection; a thread of its own needs a cursor.
        windows: the windows that `post.window_number` counts from 0, the newest.
        posts: number of posts of the root.
        undated: posts without a posting time, or with one after their scrape or in the future.
        later: posts after the windows.
        without_views: posts in `post` without views.
        copies: posts in `post` with the video of another one.
        note: what the reader should know of the windows.
    """

    database: DuckDBPyConnection
    windows: TrendWindows
    posts: int
    undated: int
    later: int
    without_views: int
    copies: int
    note: str | None

    def row(self, sql: str) -> tuple[Any, ...]:
        """Run a query for one row."""
        return _row(self.database, sql)

    def table(self, sql: str) -> pa.Table:
        """Run a query for a table."""
        table: pa.Table = self.database.sql(sql).to_arrow_table()
        return table

    def insert(self, name: str, rows: pa.Table) -> None:
        """Insert rows into a table of the database."""
        self.database.register("batch", rows)
        self.database.execute(f"INSERT INTO {name} SELECT * FROM batch")  # noqa: S608 - names and numbers of ours
        self.database.unregister("batch")


@contextmanager
def open_corpus(store: Store, days: float, as_of: datetime | None) -> Iterator[Corpus]:
    """Load `COLUMNS` of all posts, about 600 bytes each, into a database that is removed at the end of the block.

    Raises:
        TableError: there are no posts, or none with a time.
        ConfigError: `as_of` is before the first post.
    """
    import duckdb

    remove_abandoned(PREFIX)
    with temporary_folder(PREFIX) as folder, duckdb.connect(str(folder / "posts.db")) as database:
        for setting in _SETTINGS:
            database.execute(f"SET {setting}")
        database.execute("SET temp_directory = $folder", {"folder": str(folder)})
        _load(store, database)
        yield _prepare(database, store, days, as_of)


def _load(store: Store, database: DuckDBPyConnection) -> None:
    """Copy the posts into the table `stored`, and the number of each one's clip into `clips`."""
    loaded, ids = 0, list[pa.ChunkedArray]()
    with_videos = bool(feature_tables(store))
    for rows in posts_table(store).scan(COLUMNS):
        if not rows.num_rows:
            continue
        numbered = rows.append_column("i", pa.array(np.arange(loaded, loaded + rows.num_rows)))
        database.register("batch", numbered)
        statement = "INSERT INTO stored" if loaded else "CREATE TABLE stored AS"
        database.execute(f"{statement} SELECT * FROM batch")  # noqa: S608 - names and numbers of ours
        database.unregister("batch")
        loaded += rows.num_rows
        ids.append(rows["post_id"] if with_videos else rows["post_id"][:0])
    if not loaded:
        raise no_posts_error(store)
    codes = np.arange(loaded)
    if with_videos:
        codes = video_clusters(video_columns(store, pa.chunked_array([c for part in ids for c in part.chunks]))).codes
    database.register("batch", pa.table({"i": np.arange(loaded), "clip": codes}))
    database.execute("CREATE TABLE clips AS SELECT * FROM batch")
    database.unregister("batch")


def _prepare(database: DuckDBPyConnection, store: Store, days: float, as_of: datetime | None) -> Corpus:
    now = {"now": datetime.now(UTC)}
    span = f"SELECT min(posted_at), max(posted_at), count(*) FROM stored WHERE {_VALID}"  # noqa: S608 - names and numbers of ours
    first, last, dated = _row(database, span, now)
    if not dated:
        raise TableError(f"no post of {store.root} has a posting time: ingest them with posted_at (--map posted_at=…)")
    end, note = end_of_windows(as_of, first.astimezone(UTC), last.astimezone(UTC))
    windows = TrendWindows(end, days)
    database.execute(_POSTS, {**now, "as_of": end, "days": days})
    for statement in (_REACH, _FACTS, *_EMPTY):
        database.execute(statement)
    posts, kept, without_views, clips = _row(database, _COUNTS)
    return Corpus(
        database,
        windows,
        posts,
        posts - dated,
        dated - kept,
        without_views=without_views,
        copies=kept - clips,
        note=note,
    )


def _row(database: DuckDBPyConnection, sql: str, parameters: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
    [row] = database.execute(sql, parameters).fetchall()
    found: tuple[Any, ...] = row
    return found
