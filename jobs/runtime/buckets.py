"""Work that goes bucket by bucket, spread over the cluster by Ray Data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.data import Dataset

MAX_TASKS = 1024  # a task a bucket, several buckets a task beyond this: the scheduler's cost stays bounded


def bucket_rows(bits: int) -> Dataset:
    """A dataset of the bucket numbers, `{"bucket": …}`. It takes no task to make, so none can starve beside actors."""
    import ray.data

    count = 1 << bits
    rows = [{"bucket": bucket} for bucket in range(count)]
    dataset = ray.data.from_items(rows, override_num_blocks=min(count, MAX_TASKS))
    dataset.context.execution_options.preserve_order = True
    return dataset


def over_buckets(work: Callable[[int], dict[str, Any]], bits: int) -> Iterator[dict[str, Any]]:
    """What `work` says of each of the 2^bits buckets, in order of bucket; a task that dies is run again by Ray."""
    yield from bucket_rows(bits).map(lambda row: work(int(row["bucket"]))).iter_rows()
