"""Popularity of each post's sound at the time of posting: known then, so models may use it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.errors import TableError
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.bucketed import BucketedTable
from viral.tables.schemas import SOUND_HISTORY

HISTORY_TABLE = "sound_history"
"""Prefix of the table with the rows of `compute_history`."""
HISTORY_COLUMNS = ("post_id", "sound_id", "sound_uses", "posted_at", "scraped_at")
"""Columns of posts that `compute_history` reads."""


def compute_history(posts: pa.Table) -> pa.Table:
    """Compute the popularity of each post's sound at the time of posting, as rows of `SOUND_HISTORY`.

    Posts without a sound or a posting time get no row. Posts with equal posting times do not count as earlier.

    Args:
        posts: all posts of each sound, with the columns `HISTORY_COLUMNS`.
    """
    posts = posts.filter(pc.fill_null(pc.greater(pc.utf8_length(posts["sound_id"]), 0), False)).sort_by("sound_id")
    if not posts.num_rows:
        return SOUND_HISTORY.empty_table()
    # Sorted by sound, each sound is one slice.
    _, starts = np.unique(posts["sound_id"].to_numpy(), return_index=True)
    ends = [*starts[1:], posts.num_rows]
    return pa.concat_tables([_history(posts[start:end]) for start, end in zip(starts, ends, strict=True)])


def open_history(store: Store, posts: int) -> BucketedTable:
    """Open the table of `compute_history`; it must cover at least `posts` stored rows of posts.

    Raises:
        TableError: there is no such table, or posts were added after it was computed.
    """
    try:
        table, about = replaced.open_current(store, HISTORY_TABLE, SOUND_HISTORY)
    except TableError as error:
        raise TableError(
            f"the popularity of sounds before each post is unknown in {store.root}: compute it first (viral sounds)"
        ) from error
    if posts > about["posts"]:
        raise TableError(
            f"{posts - about['posts']} rows of posts were added since the popularity of sounds was computed in "
            f"{store.root}: compute it again (viral sounds)"
        )
    return table


def join_history(posts: pa.Table, history: BucketedTable, log2_buckets: int, bucket: int) -> pa.Table:
    """Add the columns of `history` to the posts of a bucket, null for posts without a row.

    Raises:
        TableError: the table was replaced meanwhile.
    """
    rows = history.read(log2_buckets, bucket)
    indices = pc.index_in(posts["post_id"], rows["post_id"])
    for name in SOUND_HISTORY.names[1:]:
        posts = posts.append_column(name, rows[name].take(indices))
    return posts


def _history(posts: pa.Table) -> pa.Table:
    """Compute the rows of one sound."""
    dated = posts.filter(pc.is_valid(posts["posted_at"]))
    scraped = posts.filter(pc.and_(pc.is_valid(posts["scraped_at"]), pc.is_valid(posts["sound_uses"])))
    scraped = scraped.sort_by([("scraped_at", "ascending"), ("sound_uses", "ascending")])
    times = _microseconds(dated["posted_at"])
    # Left of equal times: posts of the same moment do not count as earlier.
    earlier_posts = np.searchsorted(np.sort(times), times)
    # Scrapes strictly before the post: a later one would tell the model what became of the sound.
    scrapes = np.searchsorted(_microseconds(scraped["scraped_at"]), times)
    uses = pa.nulls(len(times), pa.int64())
    if scraped.num_rows:
        # The newest of the earlier scrapes; where there is none, the value is masked below.
        uses = scraped["sound_uses"].take(np.maximum(scrapes - 1, 0))
    uses = pc.if_else(pa.array(scrapes > 0), uses, None)
    return pa.table([dated["post_id"], pa.array(earlier_posts, pa.int64()), uses], schema=SOUND_HISTORY)


def _microseconds(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    microseconds: npt.NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    return microseconds
