"""Work that goes bucket by bucket, spread over the cluster by Ray Data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

MAX_TASKS = 1024  # a task a bucket, several buckets a task beyond this: the scheduler's cost stays bounded


def over_buckets(work: Callable[[int], dict[str, Any]], bits: int) -> Iterator[dict[str, Any]]:
    """What `work` says of each of the 2^bits buckets, in order of bucket; a task that dies is run again by Ray."""
    import ray.data

    count = 1 << bits
    dataset = ray.data.range(count, override_num_blocks=min(count, MAX_TASKS))
    dataset.context.execution_options.preserve_order = True
    yield from dataset.map(lambda row: work(int(row["id"]))).iter_rows()
