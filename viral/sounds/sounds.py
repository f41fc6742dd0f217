"""Posts → one row a sound, in the columns of a posts table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.storage.store import Store
from viral.tables.schemas import COUNTS, POSTS

NEEDED = (
    *("post_id", "source", "sound_id", "sound_title", "sound_original", "sound_uri", "sound_uses"),
    *("posted_at", "scraped_at", "duration_seconds", "page_url", "video_uri", *COUNTS),
)
"""The columns of posts that a sound's row is made of."""

Rows = npt.NDArray[np.int64]


def sounds_root(store: Store) -> Store:
    """The root of a root's sounds: what works on posts works on its sounds there."""
    return Store(store.uri("sounds"))


def sounds_of(posts: pa.Table, store: Store) -> pa.Table:
    """One row a sound, its key the `sound_id`, from all posts of each; posts without a sound give none.

    A count is the median over the posts (of two, the lower): a sum would grow with how many of them were scraped. How
    many they are is `sound_uses`, unless the source knows of more. `posted_at` is the first use.

    The sound itself is the source's own file where that lies in the store, else the video of its first use: the choice
    must not go by how well a post did.

    Args:
        posts: with the columns `NEEDED`.
        store: whose posts they are; keys below its root become addresses, since the rows go to another.
    """
    posts = posts.filter(pc.fill_null(pc.greater(pc.utf8_length(posts["sound_id"]), 0), False))
    rows = posts.take(pc.sort_indices(posts, [(name, "ascending") for name in ("sound_id", "posted_at", "post_id")]))
    if not rows.num_rows:
        return POSTS.empty_table()
    _, sounds, sizes = np.unique(rows["sound_id"].to_numpy(), return_inverse=True, return_counts=True)
    starts = np.cumsum(sizes) - sizes
    first, seen = rows.take(starts), rows.take(_first_valid(rows["video_uri"], sounds, starts))
    known = rows.take(_first_valid(_stored(rows["sound_uri"]), sounds, starts))
    scraped = rows.group_by("sound_id", use_threads=False).aggregate([("scraped_at", "max"), ("sound_uses", "max")])
    columns = {
        "post_id": first["sound_id"],
        **{name: first[name] for name in ("source", "sound_id", "sound_title", "sound_original", "posted_at")},
        "scraped_at": scraped["scraped_at_max"],
        "sound_uri": first["sound_uri"],
        "sound_uses": pc.max_element_wise(scraped["sound_uses_max"], pa.array(sizes, pa.int64())),
        **{name: seen[name] for name in ("duration_seconds", "page_url")},
        "video_uri": _addresses(pc.coalesce(_stored(known["sound_uri"]), seen["video_uri"]), store),
        **{name: _medians(rows[name], sounds) for name in COUNTS},
    }
    missing = {field.name: pa.nulls(len(starts), field.type) for field in POSTS if field.name not in columns}
    return pa.table({**columns, **missing}).select(POSTS.names).cast(POSTS)


def _stored(uris: pa.ChunkedArray) -> pa.ChunkedArray:
    """The addresses that lie in a store, null for those of the web."""
    return pc.if_else(pc.match_substring_regex(uris, "^https?://"), None, uris)


def _first_valid(column: pa.ChunkedArray, sounds: Rows, starts: Rows) -> Rows:
    """For each sound the first of its rows that has a value; its first row where none has."""
    at = np.flatnonzero(np.asarray(pc.is_valid(column.combine_chunks())))
    found, where = np.unique(sounds[at], return_index=True)
    first = starts.copy()
    first[found] = at[where]
    return first


def _medians(column: pa.ChunkedArray, sounds: Rows) -> pa.Array:
    """The lower median of each sound's known values, null where none is known."""
    known = np.asarray(pc.is_valid(column.combine_chunks()))
    values, owners = column.drop_null().to_numpy(), sounds[known]
    order = np.lexsort((values, owners))
    sizes = np.bincount(owners, minlength=int(sounds[-1]) + 1)
    middle = np.cumsum(sizes) - sizes + np.maximum(sizes - 1, 0) // 2
    medians = np.zeros(len(sizes), np.int64)
    medians[sizes > 0] = values[order][middle[sizes > 0]]
    return pa.array(medians, mask=sizes == 0)


def _addresses(uris: pa.ChunkedArray, store: Store) -> pa.Array:
    return pa.array([_address(uri, store) for uri in uris.to_pylist()], pa.string())


def _address(uri: str | None, store: Store) -> str | None:
    return uri if uri is None or uri.startswith("/") or "://" in uri else store.uri(uri)
