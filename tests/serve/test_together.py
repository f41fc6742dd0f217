"""Vectors of concurrent requests are scored as one batch, and each request gets its own scores."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from serve.together import Together
from viral.datasets.streams import Batch


def rows(*numbers: float) -> Batch:
    return Batch({"a": np.array(numbers, np.float32)[:, None]}, np.ones((len(numbers), 1), bool))


class Scorer:
    """Gives each row its number as a score, and remembers the sizes of the batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, batch: Batch) -> list[Any]:
        self.sizes.append(len(batch.present))
        if -1 in batch.vectors["a"]:
            raise ValueError("no such row")
        return batch.vectors["a"][:, 0].tolist()  # type: ignore[no-any-return]  # numpy's tolist gives Any


def test_requests_of_one_moment_are_one_batch() -> None:
    scorer = Scorer()
    together = Together(scorer)

    async def run() -> list[Any]:
        first = await asyncio.gather(together.score(rows(1, 2)), together.score(rows(3)), together.score(rows(4, 5)))
        return [*first, await together.score(rows(6))]

    assert asyncio.run(run()) == [[1, 2], [3], [4, 5], [6]]
    assert scorer.sizes == [5, 1]


def test_an_error_reaches_each_of_them_and_the_next_are_scored() -> None:
    together = Together(Scorer())

    async def run() -> list[Any]:
        failed = await asyncio.gather(*(together.score(rows(n)) for n in (1, -1)), return_exceptions=True)
        return [*map(type, failed), await together.score(rows(2))]

    assert asyncio.run(run()) == [ValueError, ValueError, [2]]


def test_a_request_that_is_cancelled_harms_no_other() -> None:
    together = Together(Scorer())

    async def run() -> Any:
        left = asyncio.create_task(together.score(rows(1)))
        stays = asyncio.create_task(together.score(rows(2)))
        await asyncio.sleep(0)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        return await stays

    assert asyncio.run(run()) == [2]
