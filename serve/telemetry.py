"""Metrics beside those of Serve itself: time per stage, refusals, requests in flight."""

from __future__ import annotations

from collections.abc import Mapping

from ray.serve import metrics

_BOUNDARIES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]  # seconds, from a vector to an explanation


class Telemetry:
    """The metrics of one ingress replica; Ray exports them as `ray_viral_…`."""

    def __init__(self) -> None:
        self._stages = metrics.Histogram(
            "viral_stage_seconds", "Wall time of a stage of a request.", boundaries=_BOUNDARIES, tag_keys=("stage",)
        )
        self._cached = metrics.Counter("viral_cached_videos", "Videos whose vectors were known.")

    def stages(self, seconds: Mapping[str, float]) -> None:
        """Record the stages of a request."""
        for stage, value in seconds.items():
            self._stages.observe(value, {"stage": stage})

    def cached(self) -> None:
        """Count a video whose vectors were known."""
        self._cached.inc()
