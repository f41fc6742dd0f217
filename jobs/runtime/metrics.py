"""Metrics of a backfill, exported by Ray for Prometheus."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from jobs.runtime.session import is_connected
from viral.features.posts import DecodedPost


class _Unread:
    """Stands for a metric where there is no Ray to export it."""

    def inc(self, *_: object) -> None:
        """Do nothing."""

    set = inc


def _metric(kind: str, name: str, description: str, tags: tuple[str, ...]) -> Any:
    if not is_connected():
        return _Unread()
    from ray.util import metrics

    return getattr(metrics, kind)(name, description, tags)


class BackfillMetrics:
    """Counters of one worker; Ray sums them over the workers and prefixes their names with `ray_`.

    Args:
        feature_set: name of the feature set, a tag of each metric.
    """

    def __init__(self, feature_set: str) -> None:
        tags, self._tags = ("feature_set",), {"feature_set": feature_set}
        self._posts = _metric(
            "Counter", "viral_backfill_posts", "Posts by status and reason.", (*tags, "status", "reason")
        )
        self._seconds = _metric(
            "Counter", "viral_backfill_stage_seconds", "Seconds of work by stage.", (*tags, "stage")
        )
        self._bytes = _metric("Counter", "viral_backfill_read_bytes", "Bytes of the video files read.", tags)

    def record_decoded(self, post: DecodedPost) -> None:
        """Count the bytes read of a post's video file."""
        # Without `read`, the facts were reused from another table: no file was read.
        if "read" in post.stage_seconds and post.media and post.media.facts.bytes:
            self._bytes.inc(post.media.facts.bytes, self._tags)

    def record_rows(self, rows: pa.Table) -> None:
        """Count rows written to the feature table."""
        for row in rows.select(["status", "reason", "stage_seconds"]).to_pylist():
            # Prometheus has no null label: no reason is the empty text.
            self._posts.inc(1, self._tags | {"status": row["status"], "reason": row["reason"] or ""})
            for stage, seconds in row["stage_seconds"]:
                if seconds > 0:  # Ray refuses to increase a counter by 0
                    self._seconds.inc(seconds, self._tags | {"stage": stage})


class QueueGauge:
    """Gauge of posts that have no row yet, set by the driver."""

    def __init__(self, feature_set: str) -> None:
        self._tags = {"feature_set": feature_set}
        self._gauge = _metric("Gauge", "viral_backfill_posts_waiting", "Posts that have no row yet.", ("feature_set",))

    def set(self, waiting: int) -> None:
        """Set the number of posts that have no row yet."""
        self._gauge.set(waiting, self._tags)
