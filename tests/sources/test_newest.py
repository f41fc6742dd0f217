from __future__ import annotations

import time
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from viral.sources import newest
from viral.tables.schemas import POSTS, SECONDS


def posts(*rows):
    named = [
        {"post_id": name, "source": "csv", "scraped_at": day and datetime(2025, 1, day, tzinfo=UTC), "views": views}
        for name, day, views in rows
    ]
    return pa.Table.from_pylist(named, schema=POSTS)


def test_the_newest_row_of_each_post_stays_in_order_of_the_posts():
    table = posts(("b", 2, 1), ("a", 1, 2), ("b", 3, 3), ("b", 1, 4), ("a", None, 5))
    kept = newest(table)
    assert kept.schema == POSTS
    assert kept["post_id"].to_pylist() == ["a", "b"]
    assert kept["views"].to_pylist() == [2, 3]


def test_of_equally_new_rows_the_last_stays():
    assert newest(posts(("a", 1, 1), ("a", 1, 2)))["views"].to_pylist() == [2]
    assert newest(posts(("a", None, 1), ("a", None, 2)))["views"].to_pylist() == [2]


def test_one_row_and_none():
    assert newest(posts(("a", None, 1))).num_rows == 1
    assert newest(posts()).num_rows == 0


def test_chunks_do_not_matter():
    table = pa.concat_tables([posts(("b", 1, 1)), posts(), posts(("a", 1, 2), ("b", 2, 3))])
    assert newest(table)["views"].to_pylist() == [2, 3]


def test_a_million_rows_take_seconds():
    rng = np.random.default_rng(0)
    ids, moments = rng.integers(0, 500_000, 1_000_000), rng.integers(10**15, 2 * 10**15, 1_000_000)
    table = pa.table({"post_id": pa.array(ids).cast(pa.string()), "scraped_at": pa.array(moments).cast(SECONDS)})
    start = time.perf_counter()
    kept = newest(table)
    assert time.perf_counter() - start < 20
    latest = np.zeros(500_000, np.int64)
    np.maximum.at(latest, ids, moments)
    kept_ids = kept["post_id"].cast(pa.int64()).to_numpy()
    assert len(kept_ids) == len(np.unique(ids))
    assert (kept["scraped_at"].cast(pa.int64()).to_numpy() == latest[kept_ids]).all()
