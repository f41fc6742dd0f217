"""A real Prometheus that scrapes a local cluster."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from cluster.observability.generate import Nodes, write_files
from cluster.observability.panels import DASHBOARDS
from tests.shared_ray import free_port

STARTS_WITHIN = 30.0  # seconds
LOOK_BACK = "60m"  # longer than the tests of a cluster take on busy cores


@dataclass(frozen=True)
class Prometheus:
    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression, at any moment since the start."""
        asked = {"query": f"last_over_time(({expression})[{LOOK_BACK}:5s])"}
        answer = httpx.get(f"{self.url}/api/v1/query", params=asked, timeout=30, trust_env=False).json()
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def empty_panels(self, *dashboards: str) -> list[str]:
        """The queries of these dashboards that return nothing."""
        queries = {
            f"{name}: {panel.title}, {legend}": query
            for name in dashboards
            for panel in DASHBOARDS[name]
            for legend, query in panel.queries.items()
        }
        return [title for title, query in queries.items() if not self.query(query)]


@contextmanager
def scraping(targets: Sequence[str], folder: Path) -> Iterator[Prometheus | None]:
    """Runs with the configuration that the product writes; None where it is not installed."""
    if shutil.which("prometheus") is None:
        yield None
        return
    write_files(folder, Nodes(targets))
    settings = folder / "prometheus.yml"
    settings.write_text(settings.read_text().replace("10s", "4s"))  # what is watched takes seconds
    port = free_port()
    command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], cwd=folder, stdout=log, stderr=log
        )
    try:
        until = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < until:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/-/ready", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        else:
            raise AssertionError((folder / "prometheus.log").read_text())
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()
