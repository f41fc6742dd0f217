"""Files for Prometheus and Grafana."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster.observability.alerts import ALERTS
from cluster.observability.panels import DASHBOARDS, Panel

_SOURCE = {"type": "prometheus", "uid": "${source}"}  # chosen at the top of each dashboard
_WIDTH, _HEIGHT, _COLUMNS = 12, 8, 24  # of Grafana's grid: two panels in a row
_SCHEMA = 39  # of dashboards, that of Grafana 10 and 11; later ones convert it


@dataclass(frozen=True)
class Nodes:
    """Where Prometheus finds the nodes.

    Args:
        targets: HOST:PORT of their metrics.
        discovery: the file in which Ray's head lists them.
        namespace: in which KubeRay runs them.
    """

    targets: Sequence[str] = ()
    discovery: str | None = None
    namespace: str | None = None


def write_files(folder: Path, nodes: Nodes) -> list[Path]:
    """Write `prometheus.yml`, `alerts.yml` and `dashboards/*.json` into a folder; return their paths."""
    (folder / "dashboards").mkdir(parents=True, exist_ok=True)
    files = {
        folder / "prometheus.yml": yaml.safe_dump(prometheus(nodes), sort_keys=False),
        folder / "alerts.yml": yaml.safe_dump(alerts(), sort_keys=False, width=120),
    }
    for name, panels in DASHBOARDS.items():
        files[folder / "dashboards" / f"{name}.json"] = json.dumps(dashboard(name, panels), indent=1)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def prometheus(nodes: Nodes) -> dict[str, Any]:
    """Return the configuration of Prometheus."""
    job: dict[str, Any] = {"job_name": "ray"}
    if nodes.targets:
        job["static_configs"] = [{"targets": list(nodes.targets)}]
    if nodes.discovery:
        job["file_sd_configs"] = [{"files": [nodes.discovery]}]
    if nodes.namespace:
        job["kubernetes_sd_configs"] = [{"role": "pod", "namespaces": {"names": [nodes.namespace]}}]
        # KubeRay's own label of a pod, and name of its port.
        kept = {"pod_label_ray_io_is_ray_node": "yes", "pod_container_port_name": "metrics"}
        job["relabel_configs"] = [
            {"source_labels": [f"__meta_kubernetes_{label}"], "regex": value, "action": "keep"}
            for label, value in kept.items()
        ]
    # Ray's nodes report every 10 s.
    interval = {"scrape_interval": "10s", "evaluation_interval": "10s"}
    return {"global": interval, "rule_files": ["alerts.yml"], "scrape_configs": [job]}


def alerts() -> dict[str, Any]:
    """Return the rules of Prometheus."""
    rules = [
        {
            "alert": alert.name,
            "expr": alert.query,
            "for": alert.lasts,
            "annotations": {"summary": alert.summary, "runbook": alert.action},
        }
        for alert in ALERTS
    ]
    return {"groups": [{"name": "viral", "rules": rules}]}


def dashboard(name: str, panels: Sequence[Panel]) -> dict[str, Any]:
    """Return a dashboard of Grafana."""
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "uid": f"viral-{name}",
        "title": f"viral: {name}",
        "schemaVersion": _SCHEMA,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source]},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, _COLUMNS // _WIDTH)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
            for place, (legend, query) in enumerate(panel.queries.items())
        ],
    }
