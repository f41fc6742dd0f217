"""Rate limiter of a whole cluster: one actor that all fetch tasks share."""

from __future__ import annotations

from typing import Any

from viral.fetching.rate_limit import TokenBuckets


class RateLimiterActor(TokenBuckets):
    """Actor that schedules the requests of the whole cluster and counts finished URLs; one per run."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self._finished = 0

    def count(self) -> None:
        """Count one finished URL."""
        self._finished += 1

    def finished(self) -> int:
        """Number of finished URLs."""
        return self._finished


class RemoteRateLimiter:
    """`RateLimiter` that calls the actor, for a fetch task."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor

    def reserve(self, site: str) -> float:
        """Reserve the time of the next request to `site`; return the seconds to wait until then."""
        import ray

        return float(ray.get(self.actor.reserve.remote(site)))

    def pause(self, site: str, seconds: float) -> None:
        """Schedule no request to `site` for `seconds`."""
        import ray

        ray.get(self.actor.pause.remote(site, seconds))
