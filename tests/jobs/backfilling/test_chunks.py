"""Chunks cover all pending posts once, with the longest videos first."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from jobs.backfilling.chunks import (
    CHUNKS_PER_BUCKET,
    MAX_CHUNK,
    UNKNOWN,
    BucketPlan,
    Chunk,
    count_lengths,
    length_classes,
    split_into_chunks,
)
from jobs.backfilling.summary import StatusCounts
from viral.tables.bucketed import bucket_of

LOG2_BUCKETS = 2
WORKERS = 3


def posts_of(*seconds: float | None) -> pa.Table:
    names = pa.array([f"post {number}" for number in range(len(seconds))])
    return pa.table({"post_id": names, "duration_seconds": pa.array(seconds, pa.float64())})


def planned(posts: pa.Table) -> list[tuple[pa.Table, BucketPlan]]:
    """The posts of each bucket, with its plan."""
    buckets = bucket_of(posts["post_id"], LOG2_BUCKETS)
    parts = [posts.filter(pa.array(buckets == bucket)) for bucket in range(1 << LOG2_BUCKETS)]
    return [(part, BucketPlan(i, len(part), StatusCounts(), count_lengths(part))) for i, part in enumerate(parts)]


def chosen(buckets: list[tuple[pa.Table, BucketPlan]], chunks: list[Chunk]) -> list[pa.Table]:
    return [chunk.select(buckets[chunk.bucket][0], LOG2_BUCKETS) for chunk in chunks]


def test_classes_of_length() -> None:
    seconds = pa.chunked_array(
        [pa.array([None, 0.0, -3.0, float("nan"), float("inf"), 0.4, 1.0, 15.0, 15.5, 600.0, 1e9])]
    )
    classes = length_classes(seconds)
    assert classes[:5].tolist() == [UNKNOWN] * 5
    assert classes[5:].tolist() == sorted(classes[5:])
    assert classes[5] > UNKNOWN
    assert classes[7] == classes[8] < classes[9] <= classes[10]


@pytest.mark.parametrize("known", [1.0, 0.7, 0.0])
def test_every_post_is_in_one_chunk_and_long_ones_come_first(known: float) -> None:
    chance = np.random.default_rng(0)
    seconds = np.exp(chance.normal(3, 0.8, 3000)).tolist()
    posts = posts_of(*(each if chance.random() < known else None for each in seconds))
    buckets = planned(posts)
    chunks = split_into_chunks([plan for _, plan in buckets], WORKERS)
    parts = chosen(buckets, chunks)
    assert sorted(name for part in parts for name in part["post_id"].to_pylist()) == sorted(
        posts["post_id"].to_pylist()
    )
    if known == 1.0:
        classes = [chunk.lengths[0] for chunk in chunks]
        assert classes == sorted(classes, reverse=True)
        assert any(max(seconds) in part["duration_seconds"].to_pylist() for part in parts[:WORKERS])
    work = [sum(8 + (value or 27) for value in part["duration_seconds"].to_pylist()) for part in parts]
    # The end of a run is smooth: the last chunks of the workers are small where their lengths are known.
    assert max(work[-WORKERS:]) < (1.0 if known == 1.0 else 2.5) * sum(work) / len(work)
    assert len(chunks) < 2 * 32 * WORKERS


def test_a_long_video_among_short_ones_has_a_chunk_of_its_own() -> None:
    buckets = planned(posts_of(*[5.0] * 500, 590.0))
    chunks = split_into_chunks([plan for _, plan in buckets], 8)
    assert chosen(buckets, chunks)[0]["duration_seconds"].to_pylist() == [590.0]


def test_without_lengths_they_are_what_they_were() -> None:
    plans = [BucketPlan(bucket, 1000, StatusCounts(), {UNKNOWN: 1000}) for bucket in range(2)]
    chunks = split_into_chunks(plans, 5)  # of 2000 // 160 posts
    assert [chunk.num_shards for chunk in chunks[:1]] == [CHUNKS_PER_BUCKET]
    assert [(chunk.bucket, chunk.shard) for chunk in chunks] == [(i, j) for i in range(2) for j in range(64)]


def test_their_number_is_bounded() -> None:
    plans = [BucketPlan(0, 9, StatusCounts(), {}), BucketPlan(1, 3, StatusCounts(), {4: 3})]
    (large,) = split_into_chunks(plans, 1)
    assert (large.bucket, large.num_shards) == (1, 1)
    many = BucketPlan(0, 10**6, StatusCounts(), dict.fromkeys(range(1, 30), 30000))
    chunks = split_into_chunks([many], 16)
    assert len(chunks) <= 2 * CHUNKS_PER_BUCKET + 870_000 // MAX_CHUNK
    assert split_into_chunks([], 4) == []


def test_with_many_workers_for_few_buckets_all_chunks_have_one_size() -> None:
    (plan,) = (BucketPlan(0, 6400, StatusCounts(), {3: 6000, 20: 400}),)
    chunks = split_into_chunks([plan], 64)
    assert [(chunk.num_shards, chunk.lengths) for chunk in chunks] == [(CHUNKS_PER_BUCKET, [3, 20])] * CHUNKS_PER_BUCKET
