"""The alerts: when each fires, and what to do then."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Alert:
    """A rule of Prometheus.

    Args:
        name: of the alert.
        query: PromQL; it fires for each series that this gives.
        lasts: how long it has to hold.
        summary: what is wrong.
        action: what to do.
    """

    name: str
    query: str
    lasts: str
    summary: str
    action: str


ALERTS = (
    Alert(
        "ViralBackfillFails",
        # A tenth: more than any scrape that we tried has of broken and missing videos, and few enough to stop in time.
        'sum(rate(ray_viral_backfill_posts_total{status="failed"}[5m])) '
        "/ sum(rate(ray_viral_backfill_posts_total[5m])) > 0.1",
        "2m",
        "More than a tenth of the posts fails.",
        "viral failures names reasons and posts. Mend the cause, then viral backfill --retry-failed.",
    ),
    Alert(
        "ViralBackfillStands",
        "max(ray_viral_backfill_posts_waiting) > 0 unless sum(rate(ray_viral_backfill_posts_total[10m])) > 0",
        # Longer than the longest video takes.
        "10m",
        "Posts wait, and none has been finished for ten minutes.",
        "viral jobs logs ID shows the job. If its head is gone, send the same command again: it goes on.",
    ),
    Alert(
        "ViralNodeLost",
        'up{job="ray"} == 0',
        "1m",
        "A node does not answer.",
        "Jobs go on without it. If the autoscaler starts no other, look at its machine.",
    ),
    Alert(
        "ViralDiskFull",
        "ray_node_disk_usage / (ray_node_disk_usage + ray_node_disk_free) > 0.95",
        "5m",
        "A disk is almost full: Ray stops to spill objects there.",
        "Give the node a larger disk for Ray's temporary folder, or fewer workers.",
    ),
    Alert(
        "ViralEndpointErrors",
        # One in a thousand: one replica that is replaced costs less.
        'sum(rate(ray_serve_num_http_error_requests_total{status_code=~"5.."}[5m])) '
        "/ sum(rate(ray_serve_num_http_requests_total[5m])) > 0.001",
        "2m",
        "More than one answer in a thousand is an error of the server.",
        "The log of the replica has the request's id: serve.log_folder, or the dashboard.",
    ),
    Alert(
        "ViralEndpointRefuses",
        'sum(rate(ray_serve_num_http_error_requests_total{status_code="429"}[5m])) '
        "/ sum(rate(ray_serve_num_http_requests_total[5m])) > 0.05",
        "5m",
        "More than a twentieth of the requests is refused: the endpoint is full.",
        "Raise the maximum of replicas, or add nodes.",
    ),
)
