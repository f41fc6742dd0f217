"""A backfill's figures as Ray's metrics: what a cluster's Prometheus reads while it runs."""

from __future__ import annotations

import pyarrow as pa

from viral.features.reader import Decoded


class Meters:
    """Counts of one worker; Ray adds up the workers and puts `ray_` before the names.

    Args:
        feature_set: the name of the set, a tag of each figure.
    """

    def __init__(self, feature_set: str) -> None:
        from ray.util.metrics import Counter

        tags, self._tags = ("feature_set",), {"feature_set": feature_set}
        self._posts = Counter("viral_backfill_posts", "Posts by what became of them.", (*tags, "status", "reason"))
        self._seconds = Counter("viral_backfill_stage_seconds", "Seconds of work by stage.", (*tags, "stage"))
        self._bytes = Counter("viral_backfill_read_bytes", "Bytes of the videos that were read.", tags)

    def decoded(self, post: Decoded) -> None:
        """A post's file was read, or could not be."""
        if "read" in post.seconds and post.media and post.media.facts.bytes:
            self._bytes.inc(post.media.facts.bytes, self._tags)

    def written(self, rows: pa.Table) -> None:
        """Rows are in the feature table."""
        for row in rows.select(["status", "reason", "stage_seconds"]).to_pylist():
            self._posts.inc(1, self._tags | {"status": row["status"], "reason": row["reason"] or ""})
            for stage, seconds in row["stage_seconds"]:
                if seconds > 0:  # Ray refuses an increase by nothing
                    self._seconds.inc(seconds, self._tags | {"stage": stage})


class Queue:
    """The driver's own figure: posts that wait for their row."""

    def __init__(self, feature_set: str) -> None:
        from ray.util.metrics import Gauge

        self._tags = {"feature_set": feature_set}
        self._gauge = Gauge("viral_backfill_posts_waiting", "Posts that have no row yet.", ("feature_set",))

    def set(self, waiting: int) -> None:
        """So many are left."""
        self._gauge.set(waiting, self._tags)
