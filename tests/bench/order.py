"""When a backfill ends, by the order of its chunks: `python tests/bench/order.py`.

A simulation: workers take chunks in turn, as Ray Data's pools do, and a post costs what `viral/features/costs.py` would
fit: a part for the post and a part per second of its video. No video is decoded. Lengths are log-normal with a mean of
some 35 s, cut at 600 s. The ideal is all work over all workers.
"""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from jobs.backfilling.chunks import FIXED_SECONDS, UNKNOWN, BucketPlan, Chunk, count_lengths, split_into_chunks
from jobs.backfilling.summary import StatusCounts
from viral.tables.bucketed import bucket_of, log2_buckets_for

LONGEST = 600.0


def ends_after(chunks: Iterable[float], workers: int) -> float:
    """Time at which the last of so many workers ends, of which each takes the next chunk when it is free."""
    free = [0.0] * workers
    for work in chunks:
        heapq.heapreplace(free, free[0] + work)
    return max(free)


def work_of(chunks: Sequence[Chunk], buckets: Sequence[pa.Table], log2_buckets: int) -> list[float]:
    """Work of each chunk, in seconds of video."""
    parts = (chunk.select(buckets[chunk.bucket], log2_buckets) for chunk in chunks)
    return [float(part["seconds"].to_numpy().sum() + FIXED_SECONDS * part.num_rows) for part in parts]


def measure(posts: int, workers: int, known: float) -> tuple[int, float]:
    """Chunks, and how much longer than the ideal it takes, if the lengths of a share of the posts are known."""
    chance = np.random.default_rng(0)
    seconds = np.minimum(np.exp(chance.normal(3.1, 0.95, posts)), LONGEST)
    said = np.where(chance.random(posts) < known, seconds, np.nan)
    names = pa.array([f"post {number}" for number in range(posts)])
    table = pa.table({"post_id": names, "duration_seconds": pa.array(said, from_pandas=True), "seconds": seconds})
    log2_buckets = log2_buckets_for(posts)
    numbers = bucket_of(table["post_id"], log2_buckets)
    buckets = [table.filter(pa.array(numbers == bucket)) for bucket in range(1 << log2_buckets)]
    lengths = [count_lengths(rows) if known else {UNKNOWN: rows.num_rows} for rows in buckets]
    plans = [BucketPlan(i, rows.num_rows, StatusCounts(), lengths[i]) for i, rows in enumerate(buckets)]
    chunks = split_into_chunks(plans, workers)
    work = work_of(chunks, buckets, log2_buckets)
    ideal = float(seconds.sum() + FIXED_SECONDS * posts) / workers
    return len(chunks), ends_after(work, workers) / ideal - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, nargs="*", default=[1000, 30_000, 200_000])
    parser.add_argument("--workers", type=int, nargs="*", default=[7, 8, 64])
    given = parser.parse_args()
    print(f"{'posts':>8}{'workers':>9}{'lengths known':>15}{'chunks':>8}{'above ideal':>13}")
    for posts in given.posts:
        for workers in given.workers:
            for known in (0.0, 0.5, 1.0):
                count, above = measure(posts, workers, known)
                print(f"{posts:8}{workers:9}{known:15.0%}{count:8}{above:13.1%}", flush=True)


if __name__ == "__main__":
    main()
