"""Scores the vectors of concurrent requests as one batch: eight rows cost as much as one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from viral.datasets.streams import Batch, concat
from viral.scoring.scorer import Score

ITERATIONS = 2  # of the event loop, in which requests that came together reach this point; no time passes in them


class Together:
    """Collects the batches of requests and scores them in one call.

    Args:
        score: scores a batch.
    """

    def __init__(self, score: Callable[[Batch], list[Score | None]]) -> None:
        self._score = score
        self._waiting: list[tuple[Batch, asyncio.Future[Sequence[Score | None]]]] = []

    async def score(self, batch: Batch) -> Sequence[Score | None]:
        """Score N posts, together with those of the requests that wait at the same moment."""
        loop = asyncio.get_running_loop()
        scores: asyncio.Future[Sequence[Score | None]] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._after, ITERATIONS - 1)
        self._waiting.append((batch, scores))
        return await scores

    def _after(self, iterations: int) -> None:
        if iterations:
            asyncio.get_running_loop().call_soon(self._after, iterations - 1)
            return
        waiting, self._waiting = self._waiting, []
        try:
            scores = self._score(concat([batch for batch, _ in waiting]))
        except Exception as error:  # noqa: BLE001 - it is raised again where each request awaits it
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)
            return
        start = 0
        for batch, future in waiting:
            if not future.done():  # its client has left
                future.set_result(scores[start : start + len(batch.present)])
            start += len(batch.present)
