"""Limit of the request rate per site."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class RateLimiter(Protocol):
    """Scheduler of requests, for one process (`TokenBuckets`) or a cluster (`RemoteRateLimiter`)."""

    def reserve(self, site: str) -> float:
        """Reserve the time of the next request to `site`; return the seconds to wait until then."""

    def pause(self, site: str, seconds: float) -> None:
        """Schedule no request to `site` for `seconds`, because the site asked for a pause."""


class TokenBuckets:
    """Rate limiter with a token bucket per site. The capacity is one token, so that there are no bursts.

    Threads may share it. At most 1 + rate · t requests per site are scheduled in any t seconds.

    Args:
        rate: requests per second and site.
    """

    def __init__(self, rate: float) -> None:
        self.interval = 1 / rate
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()

    def reserve(self, site: str) -> float:
        """Reserve the time of the next request to `site`; return the seconds to wait until then."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next.get(site, now))  # unused capacity does not accumulate
            self._next[site] = start + self.interval
            return start - now

    def pause(self, site: str, seconds: float) -> None:
        """Schedule no request to `site` for `seconds`."""
        with self._lock:
            self._next[site] = max(self._next.get(site, 0.0), time.monotonic() + seconds)
