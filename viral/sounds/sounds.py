"""Aggregation of posts to one row per sound, with the columns of a posts table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.storage.store import Store
from viral.tables.schemas import COUNTS, POSTS

SOUND_COLUMNS = (
    *("post_id", "source", "sound_id", "sound_title", "sound_original", "sound_uri", "sound_uses"),
    *("posted_at", "scraped_at", "duration_seconds", "page_url", "video_uri", *COUNTS),
)
"""Columns of posts that `aggregate_sounds` reads."""

Rows = npt.NDArray[np.int64]


def sounds_root(store: Store) -> Store:
    """Return the root whose posts table holds the sounds of `store`; every job on posts can run there on sounds."""
    return Store(store.uri("sounds"))


def aggregate_sounds(posts: pa.Table, store: Store) -> pa.Table:
    """Aggregate all posts of each sound into one row, keyed by `sound_id`; posts without a sound are ignored.

    A count is the lower median over the posts: a sum would grow with the number of scraped posts. `sound_uses` is the
    number of posts, or the source's own count if larger. `posted_at` is the first use. The audio is the source's file
    of the sound if it is stored, else the video of the first use: the choice does not depend on the success of a post.

    Args:
        posts: with the columns `SOUND_COLUMNS`.
        store: the root of the posts. Keys below it become absolute URIs, because the sounds have another root.
    """
    posts = posts.filter(pc.fill_null(pc.greater(pc.utf8_length(posts["sound_id"]), 0), False))
    # By sound, then time: the first row of a sound is its first use.
    rows = posts.take(pc.sort_indices(posts, [(name, "ascending") for name in ("sound_id", "posted_at", "post_id")]))
    if not rows.num_rows:
        return POSTS.empty_table()
    _, sounds, sizes = np.unique(rows["sound_id"].to_numpy(), return_inverse=True, return_counts=True)
    starts = np.cumsum(sizes) - sizes
    first = rows.take(starts)
    with_video = rows.take(_first_valid(rows["video_uri"], sounds, starts))
    with_file = rows.take(_first_valid(_stored(rows["sound_uri"]), sounds, starts))
    # On one thread, groups come in the order of their first rows, which is that of `first`.
    scraped = rows.group_by("sound_id", use_threads=False).aggregate([("scraped_at", "max"), ("sound_uses", "max")])
    columns = {
        "post_id": first["sound_id"],
        **{name: first[name] for name in ("source", "sound_id", "sound_title", "sound_original", "posted_at")},
        # The newest scrape of any of its posts, since the row aggregates all of them.
        "scraped_at": scraped["scraped_at_max"],
        "sound_uri": first["sound_uri"],
        "sound_uses": pc.max_element_wise(scraped["sound_uses_max"], pa.array(sizes, pa.int64())),
        **{name: with_video[name] for name in ("duration_seconds", "page_url")},
        "video_uri": _absolute(pc.coalesce(_stored(with_file["sound_uri"]), with_video["video_uri"]), store),
        **{name: _medians(rows[name], sounds) for name in COUNTS},
    }
    missing = {field.name: pa.nulls(len(starts), field.type) for field in POSTS if field.name not in columns}
    return pa.table({**columns, **missing}).select(POSTS.names).cast(POSTS)


def _stored(uris: pa.ChunkedArray) -> pa.ChunkedArray:
    """Replace web URLs by null; URIs of stored files remain."""
    return pc.if_else(pc.match_substring_regex(uris, "^https?://"), None, uris)


def _first_valid(column: pa.ChunkedArray, sounds: Rows, starts: Rows) -> Rows:
    """Index of the first row with a value, per sound; if it has none, of its first row."""
    valid_rows = np.flatnonzero(np.asarray(pc.is_valid(column.combine_chunks())))
    valid_sounds, indices = np.unique(sounds[valid_rows], return_index=True)
    first = starts.copy()
    first[valid_sounds] = valid_rows[indices]
    return first


def _medians(column: pa.ChunkedArray, sounds: Rows) -> pa.Array:
    """Lower median of the values per sound; null if all are null."""
    values, owners = column.drop_null().to_numpy(), sounds[np.asarray(pc.is_valid(column.combine_chunks()))]
    # By sound, then by value: the median of a sound is at a known place of its run.
    order = np.lexsort((values, owners))
    sizes = np.bincount(owners, minlength=int(sounds[-1]) + 1)
    # The place of the lower middle value in the run of each sound.
    middle = np.cumsum(sizes) - sizes + np.maximum(sizes - 1, 0) // 2
    medians = np.zeros(len(sizes), np.int64)
    medians[sizes > 0] = values[order][middle[sizes > 0]]
    return pa.array(medians, mask=sizes == 0)


def _absolute(uris: pa.ChunkedArray, store: Store) -> pa.ChunkedArray:
    """Turn keys below the root into URIs."""
    return pc.if_else(
        pc.match_substring_regex(uris, "^/|://"), uris, pc.binary_join_element_wise(store.uri(""), uris, "/")
    )
