"""Rate limit of requests per site."""

from __future__ import annotations

import time
from typing import Protocol


class RateLimiter(Protocol):
    """Schedules requests, for one process (`TokenBuckets`) or a cluster (`RemoteRateLimiter`)."""

    def reserve(self, site: str) -> float:
        """Reserve the next request to `site`; returns the seconds to wait before it."""

    def pause(self, site: str, seconds: float) -> None:
        """Schedule no request to `site` for `seconds`, because the site requested it."""


class TokenBuckets:
    """A token bucket per site, of capacity one so that there are no bursts.

    In any t seconds at most 1 + rate · t requests are scheduled.

    Args:
        rate: requests per second and site.
    """

    def __init__(self, rate: float) -> None:
        self.interval = 1 / rate
        self._next: dict[str, float] = {}

    def reserve(self, site: str) -> float:
        """Reserve the next request to `site`; returns the seconds to wait before it."""
        now = time.monotonic()
        start = max(now, self._next.get(site, now))  # unused capacity does not accumulate
        self._next[site] = start + self.interval
        return start - now

    def pause(self, site: str, seconds: float) -> None:
        """Schedule no request to `site` for `seconds`."""
        self._next[site] = max(self._next.get(site, 0.0), time.monotonic() + seconds)
