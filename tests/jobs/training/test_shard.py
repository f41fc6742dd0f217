"""One worker's part of a split: the same rows whether it is kept in memory or streamed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
import ray.data
import torch

from jobs.training import shard
from jobs.training.shard import Shard
from viral.datasets.streams import Stream
from viral.models.train_config import Scaling
from viral.models.training import TensorBatch, to_tensors
from viral.tables.schemas import LABELS, VECTOR

STREAM = Stream("text", "text", 2)
TENSORS = partial(to_tensors, (STREAM,), scaling=Scaling(0.0, 1.0), device=torch.device("cpu"))
COUNT = 5000


def rows() -> pa.Table:
    """Posts whose target is their number; every third has no vector."""
    numbers = np.arange(COUNT, dtype=float)
    given = {"target": numbers, "is_viral": numbers > 0}
    columns = [pa.array(given[each.name]) if each.name in given else pa.nulls(COUNT, each.type) for each in LABELS]
    vectors = [None if number % 3 else [number, -number] for number in numbers]
    return pa.Table.from_arrays(columns, names=LABELS.names).append_column("text", pa.array(vectors, VECTOR))


class Source:
    """What a worker has of Ray Data, without Ray: batches, in a window shuffled where that is asked for."""

    def iter_batches(
        self, *, batch_size: int, batch_format: str, local_shuffle_buffer_size: int = 0, local_shuffle_seed: int = 0
    ) -> Iterator[pa.Table]:
        assert batch_format == "pyarrow"
        table = rows()
        if local_shuffle_buffer_size:
            table = table.take(np.random.default_rng(local_shuffle_seed).permutation(COUNT))
        for first in range(0, COUNT, batch_size):
            yield table.slice(first, batch_size)


def order(batches: Iterator[TensorBatch]) -> list[float]:
    """The targets as they came; each beside its own vector."""
    found = []
    for batch in batches:
        numbers = batch.targets["target"]
        assert torch.equal(batch.present[:, 0], numbers % 3 == 0)
        assert torch.equal(batch.vectors["text"][:, 0], torch.where(batch.present[:, 0], numbers, 0.0))
        found += numbers.tolist()
    return found


@pytest.fixture(params=["in memory", "streamed"])
def part(request, monkeypatch) -> Shard:
    if request.param == "streamed":
        monkeypatch.setattr(shard, "CACHE_BYTES", 1000)
    made = Shard.from_iterator(Source(), TENSORS)
    assert (made.cached is None) == (request.param == "streamed")
    return made


def test_in_order_all_rows_come_as_they_are(part):
    assert order(part.ordered()) == list(range(COUNT))


def test_shuffled_all_rows_come_in_an_order_that_the_seed_decides(part):
    first = order(part.shuffled(64, (0, 1, 0)))
    assert sorted(first) == list(range(COUNT))
    assert first == order(part.shuffled(64, (0, 1, 0)))
    assert first != order(part.shuffled(64, (0, 2, 0)))
    assert first != sorted(first)
    assert [batch.rows for batch in part.shuffled(2000, (0, 1, 0))] == [2000, 2000, 1000]


def test_ray_data_takes_what_a_shard_asks_for():
    """The stand-in above has the parameters of the real one."""
    import inspect

    real = inspect.signature(ray.data.DataIterator.iter_batches).parameters
    assert set(inspect.signature(Source.iter_batches).parameters) <= set(real)
