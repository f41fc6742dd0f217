"""The dashboards: each panel's title, unit and queries. Names of metrics are those of Ray 2.60.0 and ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["short", "s", "ms", "percentunit", "bytes", "Bps", "ops", "reqps"]
"""Units by their names in Grafana."""


@dataclass(frozen=True)
class Panel:
    """A chart over time.

    Args:
        title: what it shows.
        unit: of its vertical axis.
        queries: PromQL by the legend of its series, in Grafana's form.
        about: what to look for.
    """

    title: str
    unit: Unit
    queries: dict[str, str]
    about: str = ""


_BY_LATENCY = "sum by (le) (rate(ray_serve_http_request_latency_ms_bucket[5m]))"

BACKFILL = (
    Panel(
        "Posts per second",
        "ops",
        {"{{status}}": "sum by (status) (rate(ray_viral_backfill_posts_total[2m]))"},
        "Falls towards the end, when few long videos are left.",
    ),
    Panel("Posts waiting", "short", {"{{feature_set}}": "max by (feature_set) (ray_viral_backfill_posts_waiting)"}),
    Panel(
        "Failed and partial posts by reason",
        "ops",
        {"{{reason}}": 'sum by (reason) (rate(ray_viral_backfill_posts_total{reason!=""}[2m]))'},
        "One reason that rises alone is a fault of storage or of a file format; viral failures lists the posts.",
    ),
    Panel(
        "Busy workers by stage",
        "short",
        {"{{stage}}": "sum by (stage) (rate(ray_viral_backfill_stage_seconds_total[2m]))"},
        "Seconds of work per second: as many as there are workers, if none waits.",
    ),
    Panel("Bytes of videos read", "Bps", {"read": "sum(rate(ray_viral_backfill_read_bytes_total[2m]))"}),
)

NODES = (
    Panel("Busy cores", "percentunit", {"{{instance}}": "ray_node_cpu_utilization / 100"}),
    Panel("Memory used", "percentunit", {"{{instance}}": "ray_node_mem_used / ray_node_mem_total"}),
    Panel("Object store used", "bytes", {"{{Location}}": "sum by (Location) (ray_object_store_memory)"}),
    Panel("Tasks by state", "short", {"{{State}}": "sum by (State) (ray_tasks)"}),
    Panel("Actors by state", "short", {"{{State}}": "sum by (State) (ray_actors)"}),
    Panel(
        "Network",
        "Bps",
        {
            "{{instance}} received": "ray_node_network_receive_speed",
            "{{instance}} sent": "ray_node_network_send_speed",
        },
    ),
)

SERVING = (
    Panel(
        "Answers per second",
        "reqps",
        {
            "{{status_code}}": "sum by (status_code) (rate(ray_serve_num_http_requests_total[2m]))",
        },
        "429 is admission at work; 5xx is a fault.",
    ),
    Panel(
        "Latency",
        "ms",
        {f"p{rank}": f"histogram_quantile({rank / 100}, {_BY_LATENCY})" for rank in (50, 95, 99)},
    ),
    Panel(
        "Seconds by stage",
        "s",
        {
            "{{stage}}": (
                "sum by (stage) (rate(ray_viral_stage_seconds_sum[5m])) / "
                "sum by (stage) (rate(ray_viral_stage_seconds_count[5m]))"
            ),
        },
    ),
    Panel(
        "Requests in replicas",
        "short",
        {
            "{{deployment}}": "sum by (deployment) (ray_serve_replica_processing_queries)",
        },
    ),
    Panel(
        "Healthy replicas", "short", {"{{deployment}}": "sum by (deployment) (ray_serve_deployment_replica_healthy)"}
    ),
)

TRAINING = (
    Panel(
        "Runs by state",
        "short",
        {
            "{{ray_train_controller_state}}": "sum by (ray_train_controller_state) (ray_train_controller_state)",
        },
    ),
    Panel(
        "Seconds spent reporting checkpoints",
        "s",
        {
            "{{ray_train_run_name}}": "max by (ray_train_run_name) (ray_train_report_total_blocked_time_s)",
        },
    ),
    Panel(
        "Seconds to start workers",
        "s",
        {
            "{{ray_train_run_name}}": "max by (ray_train_run_name) (ray_train_worker_group_start_total_time_s)",
        },
    ),
)

DASHBOARDS = {"backfill": BACKFILL, "nodes": NODES, "serving": SERVING, "training": TRAINING}
"""Panels by the name of their dashboard."""
