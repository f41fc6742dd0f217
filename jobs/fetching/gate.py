"""The pace of a cluster that fetches: one actor whom all tasks ask for turns."""

from __future__ import annotations

from typing import Any

from viral.fetching.rate_limit import Buckets


class Gate(Buckets):
    """The turns of the whole cluster, and how many addresses have been done: one actor a run."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self._seen = 0

    def count(self) -> None:
        """One address more."""
        self._seen += 1

    def seen(self) -> int:
        """How many there were."""
        return self._seen


class Turns:
    """The gate, as tasks ask for turns; what a `Pacer` gives."""

    def __init__(self, gate: Any) -> None:
        self.gate = gate

    def reserve(self, site: str) -> float:
        """Take the next turn at `site`: the seconds to wait for it."""
        import ray

        return float(ray.get(self.gate.reserve.remote(site)))

    def pause(self, site: str, seconds: float) -> None:
        """Give no turn at `site` for that long."""
        import ray

        ray.get(self.gate.pause.remote(site, seconds))
