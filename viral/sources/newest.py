"""One row a post: the newest of those that were scraped."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def newest(posts: pa.Table) -> pa.Table:
    """One row a `post_id`, that of the newest `scraped_at`, ordered by `post_id`.

    An unknown `scraped_at` counts as the oldest; of equally new rows the last in the table stays. In memory: for more
    posts than fit, give it one part of the table at a time, parted by `post_id`.

    Args:
        posts: a table with the columns of `tables.POSTS`.
    """
    if posts.num_rows == 0:
        return posts
    known = pc.fill_null(posts["scraped_at"].cast(pa.int64()), -(2**63))
    keys = pa.table({"id": posts["post_id"], "time": known, "row": pa.array(range(posts.num_rows))})
    order = keys.sort_by([("id", "ascending"), ("time", "ascending"), ("row", "ascending")])
    ids = order["id"].combine_chunks()
    last = pc.not_equal(ids[:-1], ids[1:])
    mask = pa.concat_arrays([last, pa.array([True])])
    return posts.take(order["row"].filter(mask))
