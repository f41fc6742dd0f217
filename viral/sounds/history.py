"""What was known of each post's sound when it was posted: the popularity that a forecast may look at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.errors import TableError
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.bucketed import Parts
from viral.tables.schemas import SOUND_HISTORY

HISTORY = "sound_history"
"""The table of `histories_of`, below the root."""
HISTORY_NEEDED = ("post_id", "sound_id", "sound_uses", "posted_at", "scraped_at")
"""The columns of posts that `histories_of` looks at."""


def histories_of(posts: pa.Table) -> pa.Table:
    """What was known of each post's sound when it was posted, as `SOUND_HISTORY`, from all posts of each sound.

    Posts without a sound or a time of posting have no row. Of posts of the same moment none is before the other.

    Args:
        posts: with the columns `HISTORY_NEEDED`.
    """
    posts = posts.filter(pc.fill_null(pc.greater(pc.utf8_length(posts["sound_id"]), 0), False)).sort_by("sound_id")
    if not posts.num_rows:
        return SOUND_HISTORY.empty_table()
    _, starts = np.unique(posts["sound_id"].to_numpy(), return_index=True)
    ends = [*starts[1:], posts.num_rows]
    return pa.concat_tables([_history(posts[start:end]) for start, end in zip(starts, ends, strict=True)])


def history(store: Store, posts: int) -> Parts:
    """The table of `histories_of`, made when there were as many rows of posts as there are now.

    Raises:
        TableError: it was never made, or there are more posts since: a backfill would have nothing to tell of those.
    """
    try:
        table, about = replaced.current(store, HISTORY, SOUND_HISTORY)
    except TableError as error:
        raise TableError(
            f"the popularity of sounds before each post is not known in {store.root}: make its table first "
            "(python -m jobs.sounds)"
        ) from error
    if posts > about["posts"]:
        raise TableError(
            f"{posts - about['posts']} rows of posts came after the popularity of sounds was noted in {store.root}: "
            "note it again (python -m jobs.sounds)"
        )
    return table


def with_history(posts: pa.Table, known: Parts, bits: int, bucket: int) -> pa.Table:
    """The posts of a bucket with what is known of their sounds beside them, null where nothing is.

    Raises:
        TableError: the table was replaced meanwhile.
    """
    rows = known.read(bits, bucket)
    at = pc.index_in(posts["post_id"], rows["post_id"])
    for name in SOUND_HISTORY.names[1:]:
        posts = posts.append_column(name, rows[name].take(at))
    return posts


def _history(posts: pa.Table) -> pa.Table:
    """The rows of one sound."""
    dated = posts.filter(pc.is_valid(posts["posted_at"]))
    told = posts.filter(pc.and_(pc.is_valid(posts["scraped_at"]), pc.is_valid(posts["sound_uses"])))
    told = told.sort_by([("scraped_at", "ascending"), ("sound_uses", "ascending")])
    times = _microseconds(dated["posted_at"])
    earlier = np.searchsorted(np.sort(times), times)
    scrapes = np.searchsorted(_microseconds(told["scraped_at"]), times)
    uses = told["sound_uses"].take(np.maximum(scrapes - 1, 0)) if told.num_rows else pa.nulls(len(times), pa.int64())
    uses = pc.if_else(pa.array(scrapes > 0), uses, None)
    return pa.table([dated["post_id"], pa.array(earlier, pa.int64()), uses], schema=SOUND_HISTORY)


def _microseconds(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    microseconds: npt.NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    return microseconds
