"""Admission of requests: bounded by the time that they would wait, and by the bytes that they hold.

All of it is decided before a body is read. Each ingress replica admits for itself; since requests are spread over the
replicas evenly, each sees its own share of the endpoint's rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from serve.errors import BUSY, too_many

MEMORY_SECONDS = 3.0  # several batches of the encoder, whose answers come at once: the rate between them counts
ALWAYS = 2  # requests of a lane that are admitted whatever the estimate: one is served, the next is on its way


@dataclass
class Lane:
    """The requests of one kind: how many are in flight, and how fast they are answered.

    Attributes:
        limit: most requests in flight.
        seconds: in which requests were in flight; older ones count less.
        answers: in these seconds.
    """

    limit: int
    in_flight: int = 0
    seconds: float = 0.0
    answers: float = 0.0
    last: float = 0.0

    @property
    def interval(self) -> float:
        """Seconds between two answers while requests were in flight; 0 until it is known."""
        return self.seconds / self.answers if self.answers else 0.0

    @property
    def wait(self) -> float:
        """Seconds that a further request would wait for those in flight."""
        return self.in_flight * self.interval

    def enter(self, now: float) -> None:
        """Count a request."""
        if not self.in_flight:
            self.last = now  # the time before was idle: it says nothing about the rate
        self.in_flight += 1

    def leave(self, now: float) -> None:
        """Count an answer."""
        self.in_flight -= 1
        passed = now - self.last
        fading = math.exp(-passed / MEMORY_SECONDS)
        self.seconds, self.answers = self.seconds * fading + passed, self.answers * fading + 1
        self.last = now


@dataclass
class Admission:
    """Decides which requests of an ingress replica are admitted.

    Args:
        max_wait: seconds that a request may wait for others.
        max_bytes: bytes of all bodies in flight.
        limits: most requests in flight by lane.
    """

    max_wait: float
    max_bytes: int
    limits: dict[str, int]
    lanes: dict[str, Lane] = field(init=False)
    bytes_in_flight: int = 0

    def __post_init__(self) -> None:
        self.lanes = {name: Lane(limit) for name, limit in self.limits.items()}

    def check(self, lane_name: str) -> None:
        """Refuse a request that would wait too long, before its body is read.

        Raises:
            ApiError: 429, with the time after which to come again.
        """
        lane = self.lanes[lane_name]
        if lane.in_flight >= lane.limit or (lane.in_flight >= ALWAYS and lane.wait > self.max_wait):
            raise too_many(BUSY, "the endpoint has as many requests as it can answer in time", lane.wait)

    @contextmanager
    def place(self, lane_name: str) -> Iterator[None]:
        """Hold a place in a lane until the end of the block. Raises as `check` does.

        The time in which a body comes does not count: it tells how fast the client is, not the endpoint.
        """
        self.check(lane_name)
        lane = self.lanes[lane_name]
        lane.enter(time.monotonic())
        try:
            yield
        finally:
            lane.leave(time.monotonic())

    @contextmanager
    def body(self, size: int) -> Iterator[None]:
        """Hold `size` bytes of the budget until the end of the block.

        Raises:
            ApiError: 429, if the budget is exhausted.
        """
        if self.bytes_in_flight + size > self.max_bytes:
            detail = f"{self.bytes_in_flight} bytes are on their way, and {size} more exceed the budget"
            raise too_many("bytes_in_flight", detail, self.max_wait)
        self.bytes_in_flight += size
        try:
            yield
        finally:
            self.bytes_in_flight -= size
