"""Run functions per bucket on Ray Data, and pass Python objects through its datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from jobs.runtime.session import connect

if TYPE_CHECKING:
    from ray.data import Dataset

T = TypeVar("T")

MAX_TASKS = 1024  # one task per item up to this, then several items per task: bounds the scheduler's cost
_OBJECT = "object"


def map_buckets(fn: Callable[[int], T], log2_buckets: int) -> Iterator[T]:
    """Call `fn(bucket)` on the cluster for each of the 2^`log2_buckets` buckets; yield the results in bucket order."""
    return map_items(fn, range(1 << log2_buckets))


def map_items(fn: Callable[[Any], T], items: Sequence[Any]) -> Iterator[T]:
    """Call `fn(item)` on the cluster and yield the results, of any type, in order. Ray reruns a task that dies.

    A single item is left to this process: there is nothing to share out, and Ray takes seconds to start.
    """
    if len(items) == 1:
        return (fn(item) for item in items)
    # Only numbers travel through the dataset; the items go to the workers once, with the function.
    numbers = _dataset("item", range(len(items)))
    return iter_objects(numbers.map_batches(partial(_map_batch, fn, items), batch_size=1, batch_format="pyarrow"))


def bucket_dataset(log2_buckets: int) -> Dataset:
    """Return a dataset with one row `{"bucket": number}` per bucket, in order."""
    return _dataset("bucket", range(1 << log2_buckets))


def object_batch(objects: Iterable[object]) -> pa.Table:
    """Return a batch with one row per object, pickled; read it with `batch_objects` or `iter_objects`."""
    from ray.data.extensions import ArrowPythonObjectArray

    return pa.table({_OBJECT: ArrowPythonObjectArray.from_objects(objects)})


def batch_objects(batch: pa.Table) -> list[Any]:
    """Return the objects of a batch that `object_batch` made."""
    return list(batch[_OBJECT].to_pylist())


def iter_objects(dataset: Dataset) -> Iterator[Any]:
    """Execute a dataset whose batches come from `object_batch`, and yield their objects."""
    for row in dataset.iter_rows():
        yield row[_OBJECT]


def _dataset(column: str, items: Sequence[int]) -> Dataset:
    import ray.data

    connect()
    # `from_items` builds the blocks in this process: a task for it could wait for a core that actors occupy.
    rows = [{column: item} for item in items]
    dataset = ray.data.from_items(rows, override_num_blocks=min(len(rows), MAX_TASKS))
    # `map_items` promises the order of the items, whichever task ends first.
    dataset.context.execution_options.preserve_order = True
    return dataset


def _map_batch(fn: Callable[[Any], object], items: Sequence[Any], batch: pa.Table) -> pa.Table:
    return object_batch(fn(items[number]) for number in batch["item"].to_pylist())
