"""What is generated for Prometheus and Grafana; tests/cluster/test_local_cluster.py runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.observability.alerts import ALERTS
from cluster.observability.generate import Nodes, prometheus
from tests.conftest import PROJECT, Viral


def written(viral_here: Viral, folder: Path, *nodes: str) -> list[Path]:
    done = viral_here("cluster", "observability", folder, *nodes)
    assert done.returncode == 0, done.stderr
    return [Path(line) for line in done.stdout.splitlines()]


def test_dashboards_are_those_of_grafana(viral_here: Viral, tmp_path: Path) -> None:
    files = [
        path for path in written(viral_here, tmp_path / "new", "--target", "10.0.0.1:8080") if path.suffix == ".json"
    ]
    dashboards = [json.loads(path.read_text()) for path in files]
    assert len({each["uid"] for each in dashboards}) == len(dashboards) == 4
    for dashboard in dashboards:
        assert {panel["type"] for panel in dashboard["panels"]} == {"timeseries"}
        assert all(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
        assert len(set(places)) == len(places)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed: apt-get install prometheus")
@pytest.mark.parametrize("nodes", [("--target", "10.0.0.1:8080"), ("--discovery", "/tmp/ray/nodes.json")])
def test_prometheus_accepts_it(viral_here: Viral, tmp_path: Path, nodes: tuple[str, ...]) -> None:
    written(viral_here, tmp_path, *nodes)
    done = subprocess.run(["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_it_finds_the_nodes_of_kuberay() -> None:
    """Debian's Prometheus cannot read it: it is built without Kubernetes."""
    (job,) = prometheus(Nodes(namespace="viral"))["scrape_configs"]
    assert job["kubernetes_sd_configs"] == [{"role": "pod", "namespaces": {"names": ["viral"]}}]
    labels = [label for rule in job["relabel_configs"] for label in rule["source_labels"]]
    assert labels == ["__meta_kubernetes_pod_label_ray_io_is_ray_node", "__meta_kubernetes_pod_container_port_name"]


POSTS, ERRORS = "ray_viral_backfill_posts_total", "ray_serve_num_http_error_requests_total"
REQUESTS, WAITING = "ray_serve_num_http_requests_total", "ray_viral_backfill_posts_waiting"
USED, FREE = "ray_node_disk_usage", "ray_node_disk_free"
FAULTS: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "ViralBackfillFails": (
        "10m",
        {POSTS + '{status="failed"}': "0+2x40", POSTS + '{status="ok"}': "0+8x40"},
        {POSTS + '{status="failed"}': "0+1x40", POSTS + '{status="ok"}': "0+19x40"},
    ),
    "ViralBackfillStands": (
        "30m",
        {WAITING: "5x60", POSTS + '{status="ok"}': "7x60"},
        {WAITING: "5x60", POSTS + '{status="ok"}': "0+1x60"},
    ),
    "ViralNodeLost": ("5m", {'up{job="ray"}': "1 0x10"}, {'up{job="ray"}': "1x10"}),
    "ViralDiskFull": ("10m", {USED: "97x20", FREE: "3x20"}, {USED: "90x20", FREE: "10x20"}),
    "ViralEndpointErrors": (
        "10m",
        {ERRORS + '{status_code="500"}': "0+1x40", REQUESTS: "0+100x40"},
        {ERRORS + '{status_code="404"}': "0+1x40", REQUESTS: "0+100x40"},
    ),
    "ViralEndpointRefuses": (
        "15m",
        {ERRORS + '{status_code="429"}': "0+10x40", REQUESTS: "0+100x40"},
        {ERRORS + '{status_code="429"}': "0+2x40", REQUESTS: "0+100x40"},
    ),
}
"""Of each alert: minutes after which it is looked at, series on which it fires, and near ones on which it does not."""


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed: apt-get install prometheus")
def test_each_alert_fires_on_its_fault_and_on_nothing_else(viral_here: Viral, tmp_path: Path) -> None:
    written(viral_here, tmp_path, "--target", "10.0.0.1:8080")
    tests = [
        expected(name, minutes, series, fires=series is fault)
        for name, (minutes, fault, near) in FAULTS.items()
        for series in (fault, near)
    ]
    content = {"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(content))
    done = subprocess.run(["promtool", "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def expected(name: str, minutes: str, series: dict[str, str], *, fires: bool) -> dict[str, Any]:
    """A test as promtool takes it: of all alerts, this one fires or none."""
    rules = []
    for alert in ALERTS:
        notes = {"summary": alert.summary, "runbook": alert.action}
        fired = [{"exp_labels": {"job": "ray"} if "up{" in alert.query else {}, "exp_annotations": notes}]
        expects = fired if fires and alert.name == name else []
        rules.append({"eval_time": minutes, "alertname": alert.name, "exp_alerts": expects})
    inputs = [{"series": query, "values": values} for query, values in series.items()]
    return {"interval": "1m", "input_series": inputs, "alert_rule_test": rules}


def test_nodes_have_to_be_named(viral_here: Viral, tmp_path: Path) -> None:
    done = viral_here("cluster", "observability", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: say where the nodes are: --discovery FILE")


def test_the_readme_says_what_to_do_for_each_alert() -> None:
    text = " ".join((PROJECT / "cluster" / "README.md").read_text().split())
    for alert in ALERTS:
        assert f"- **{alert.name}**: {alert.summary} {alert.action}" in text
