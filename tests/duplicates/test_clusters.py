"""Posts with the same file or near-duplicates form a cluster."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from viral.duplicates.clusters import VIDEO_COLUMNS, later_copies, video_clusters
from viral.duplicates.perceptual_hash import VIDEO_HASH
from viral.tables.schemas import FACTS


def a_hash(seed: int) -> bytes:
    value, rng = np.zeros((), VIDEO_HASH), np.random.default_rng(seed)
    value["opening"][0] = rng.integers(0, 2**64, 8, np.uint64, endpoint=False) | np.uint64(1)
    return value.tobytes()


def posts(*rows: tuple[str | None, bytes | None, float | None]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table(list(columns), schema=pa.schema([FACTS.field(name) for name in VIDEO_COLUMNS]))


def test_files_and_near_duplicates_are_joined() -> None:
    table = posts(
        ("a", a_hash(1), 9.0),
        ("b", a_hash(2), 9.0),
        ("a", a_hash(1), 9.0),  # the file of 0
        ("c", a_hash(1), 9.1),  # a near-duplicate of 0
        ("b", None, None),  # the file of 1, read by code without hashes
        (None, None, None),
        (None, None, None),
        ("d", b"of another version", 9.0),
        ("e", a_hash(2), None),
    )
    found = video_clusters(table)
    codes = found.codes.tolist()
    assert codes[0] == codes[2] == codes[3]
    assert codes[1] == codes[4]
    assert len(set(codes)) == 6
    assert (found.pairs.first.tolist(), found.pairs.second.tolist()) == ([0], [3])


def test_a_chain_of_copies_is_one_cluster() -> None:
    table = posts(("a", a_hash(1), 9.0), ("b", a_hash(1), 9.15), ("c", a_hash(1), 9.3))
    assert video_clusters(table).codes.tolist() == [0, 0, 0]


def test_no_posts() -> None:
    assert video_clusters(posts(("a", None, None)).slice(0, 0)).codes.tolist() == []


def test_the_earliest_post_of_a_cluster_is_no_copy() -> None:
    times = [30, 10, 20, None, 5]
    table = pa.table({"post_id": list("abcde"), "posted_at": pa.array(times, pa.timestamp("us"))})
    assert later_copies(table, np.array([0, 0, 0, 0, 1])).tolist() == [True, False, True, True, False]
