"""How fast a host may be asked."""

from __future__ import annotations

import time
from typing import Protocol


class Pacer(Protocol):
    """Gives turns. Of one process (`Buckets`), or of a cluster."""

    def reserve(self, site: str) -> float:
        """Take the next turn at `site`: the seconds to wait for it."""

    def pause(self, site: str, seconds: float) -> None:
        """Give no turn at `site` for that long: it asked for it."""


class Buckets:
    """A token bucket for each site. It holds one token, so that no second ever sees a burst.

    In any t seconds at most 1 + rate · t turns are given.

    Args:
        rate: requests a second and site.
    """

    def __init__(self, rate: float) -> None:
        self.every = 1 / rate
        self._next: dict[str, float] = {}

    def reserve(self, site: str) -> float:
        """Take the next turn at `site`: the seconds to wait for it."""
        now = time.monotonic()
        turn = max(now, self._next.get(site, now))
        self._next[site] = turn + self.every
        return turn - now

    def pause(self, site: str, seconds: float) -> None:
        """Give no turn at `site` for that long."""
        self._next[site] = max(self._next.get(site, 0.0), time.monotonic() + seconds)
