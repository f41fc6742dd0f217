"""Chunks of a backfill: its units of work, those with the longest videos first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.backfilling.summary import StatusCounts
from viral.tables.bucketed import shard_of

# Posts per chunk, which one actor call processes and writes as one file. Chunks are small enough that a killed worker
# loses little and all workers finish at about the same time, and large enough that 10^8 posts give some 25,000 files.
MIN_CHUNK, MAX_CHUNK, CHUNKS_PER_WORKER = 4, 4096, 32
LARGEST, SMALLEST = (
    1.5,
    0.25,
)  # of the first and the last chunks, as multiples of the average: so all workers end together
FEW_CHUNKS = 4  # per worker: with fewer, chunks of one size are better than an order
CHUNKS_PER_BUCKET = 64  # at most, since each chunk reads the files that the other chunks of its bucket have written
# What a post costs whatever its length, in seconds of video: of the set `light`, a third of a TikTok of 24 s.
FIXED_SECONDS = 8.0
# Bounds in seconds of the classes of length, each a quarter above the last, up to the longest video that is read.
# Rounded, so that every node compares with the same numbers.
BOUNDS = np.round(1.25 ** np.arange(30), 2)
UNKNOWN = 0
"""Class of the posts whose scrape says no length; the others count from 1."""
CHUNK_COLUMNS = ("post_id", "duration_seconds")


@dataclass(frozen=True)
class Chunk:
    """Unit of work: of the pending posts in a bucket with videos of some lengths, one of `num_shards` shards.

    Whether a post belongs to it depends on that post alone. So a chunk that Ray reruns holds the same posts, whichever
    of them have got their rows.
    """

    bucket: int
    shard: int
    num_shards: int
    lengths: Sequence[int] = (UNKNOWN,)

    def select(self, posts: pa.Table, log2_buckets: int) -> pa.Table:
        """Select its posts among those of its bucket, which have `CHUNK_COLUMNS`."""
        shards = shard_of(posts["post_id"], log2_buckets, self.num_shards)
        lengths = np.isin(length_classes(posts["duration_seconds"]), np.asarray(self.lengths))
        return posts.filter(pa.array((shards == self.shard) & lengths))


@dataclass(frozen=True)
class BucketPlan:
    """Work in a bucket: `pending` of its `posts` have to be processed; `done` counts the rows of the others.

    `lengths` counts the pending posts by the class of their length.
    """

    bucket: int
    posts: int
    done: StatusCounts
    lengths: Mapping[int, int]

    @property
    def pending(self) -> int:
        """Number of posts to process."""
        return sum(self.lengths.values())


def length_classes(seconds: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Class (N,) of the length of each video, by what its scrape says; `UNKNOWN` for nothing and for nonsense."""
    values = pc.fill_null(seconds, 0.0).to_numpy()
    known = np.isfinite(values) & (values > 0)
    return np.where(known, np.searchsorted(BOUNDS, np.where(known, values, 0.0), side="right") + 1, UNKNOWN)


def count_lengths(posts: pa.Table) -> dict[int, int]:
    """Count posts by the class of their length."""
    lengths, counts = np.unique(length_classes(posts["duration_seconds"]), return_counts=True)
    return dict(zip(lengths.tolist(), counts.tolist(), strict=True))


def split_into_chunks(plans: Sequence[BucketPlan], workers: int) -> list[Chunk]:
    """Split the pending posts into chunks of about the same work, the longest videos first.

    A long video that comes last would keep one worker busy while the others have ended.
    """
    counts: Counter[int] = Counter()
    for plan in plans:
        counts.update(plan.lengths)
    posts = counts.total()
    costs = _costs(counts)
    # Many more chunks than workers, so that all end at about the same time although chunks differ.
    size = min(MAX_CHUNK, max(MIN_CHUNK, posts // (workers * CHUNKS_PER_WORKER)))
    work = size * sum(costs[length] * count for length, count in counts.items()) / max(posts, 1)
    if len(plans) * CHUNKS_PER_BUCKET < FEW_CHUNKS * workers or set(counts) <= {UNKNOWN}:
        return [chunk for plan in plans for chunk in _evenly(plan, size)]
    found = [pair for plan in plans for pair in _split(plan, costs, work)]
    return [chunk for _, chunk in sorted(found, key=lambda pair: -pair[0])]


def _costs(counts: Mapping[int, int]) -> dict[int, float]:
    """Work of a post of each class, in seconds of video; a post of unknown length counts as an average one."""
    known = {
        length: FIXED_SECONDS + float(BOUNDS[min(length, len(BOUNDS)) - 1]) for length in counts if length != UNKNOWN
    }
    posts = sum(counts[length] for length in known)
    average = sum(cost * counts[length] for length, cost in known.items()) / posts if posts else FIXED_SECONDS
    return {UNKNOWN: average, **known}


def _evenly(plan: BucketPlan, size: int) -> Iterator[Chunk]:
    """Yield chunks of about so many posts, of any length."""
    shards = min(CHUNKS_PER_BUCKET, -(-plan.pending // size))
    yield from (Chunk(plan.bucket, shard, shards, sorted(plan.lengths)) for shard in range(shards))


def _split(plan: BucketPlan, costs: Mapping[int, float], work: float) -> Iterator[tuple[float, Chunk]]:
    """Yield the chunks of a bucket, each of about so much work, with the work of its longest post."""
    total = left = sum(costs[length] * count for length, count in plan.lengths.items())
    work = max(work, total / CHUNKS_PER_BUCKET)
    waiting = sorted(plan.lengths, key=lambda length: -costs[length])
    gathered: list[int] = []
    for i, length in enumerate(waiting, start=1):
        if not gathered:
            share = work * (LARGEST - (LARGEST - SMALLEST) * (1 - left / total))
        gathered.append(length)
        in_these = sum(costs[each] * plan.lengths[each] for each in gathered)
        left -= costs[length] * plan.lengths[length]
        # Of less than half a chunk, none is made: its posts go with these.
        if i == len(waiting) or (in_these >= share and left >= share / 2):
            posts = sum(plan.lengths[each] for each in gathered)
            shards = min(posts, max(math.ceil(in_these / share - 0.25), -(-posts // MAX_CHUNK)))
            yield from ((costs[gathered[0]], Chunk(plan.bucket, shard, shards, gathered)) for shard in range(shards))
            gathered = []
