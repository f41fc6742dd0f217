"""Posts → one row a sound, in the columns of a posts table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral import generations
from viral.errors import TableError
from viral.parts import Parts
from viral.store import Store
from viral.tables import COUNTS, POSTS, SOUND_HISTORY

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
        table, about = generations.current(store, HISTORY, SOUND_HISTORY)
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


def _microseconds(column: pa.ChunkedArray) -> Rows:
    microseconds: Rows = column.cast(pa.int64()).to_numpy()
    return microseconds


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
