"""Ray's autoscaler adds nodes for a backfill and removes them after it, by Ray's provider of fake nodes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.local.hosts import Host, HostNetwork
from jobs.runtime.local_ray import LOCAL, STARTS
from tests.conftest import PROJECT
from tests.shared_ray import PLANTED

pytestmark = pytest.mark.slow

WITHIN = 200.0  # seconds; a busy machine starts nodes slowly
WORKERS = 2  # nodes of one core each; the head has none
POSTS = 16
SETTINGS = {"VIRAL_BACKFILL__WORKERS": str(WORKERS), "VIRAL_SANDBOX__SECONDS": str(WITHIN)}
BIN = Path(sys.executable).parent
HEAD_ID = "f" * 51 + "00000"  # that the provider gives its head
ENVIRONMENT = {
    **LOCAL,
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": os.pathsep.join([str(PLANTED), str(PROJECT)]),
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0" * 64,
    # Version 2 of the autoscaler, as in our manifests.
    "RAY_enable_autoscaler_v2": "1",
    "RAY_FAKE_CLUSTER": "1",
    "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
}
NODE_TYPES = {
    "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
    "decode": {
        "resources": {"CPU": 1, "object_store_memory": 100_000_000},
        "node_config": {},
        "min_workers": 0,
        "max_workers": WORKERS,
    },
}
CONFIG = {
    "cluster_name": "test",
    "max_workers": WORKERS,
    "idle_timeout_minutes": 0.05,
    "provider": {"type": "fake_multinode", "launch_multiple": True, "head_node_id": HEAD_ID},
    "available_node_types": NODE_TYPES,
    "head_node_type": "ray.head.default",
    **{key: {} for key in ("auth", "docker", "head_node", "worker_nodes", "file_mounts")},
    **{key: [] for key in ("cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands")},
    **{key: [] for key in ("setup_commands", "head_setup_commands", "worker_setup_commands")},
    **{key: [] for key in ("head_start_ray_commands", "worker_start_ray_commands")},
    "file_mounts_sync_continuously": False,
    "upscaling_speed": 1.0,
}
# Prints the number of nodes whenever it changes.
WATCH = """
import sys, time, ray
seen = None
while not ray.is_initialized():
    try:
        ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")
    except ConnectionError:
        time.sleep(0.5)
while True:
    nodes = sum(node["Alive"] for node in ray.nodes())
    if nodes != seen:
        print(nodes, flush=True)
    seen = nodes
    time.sleep(0.2)
"""


class Autoscaled:
    """A Ray cluster with an autoscaler, on one host; the head runs no tasks."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host, self.folder = host, folder
        self.address = f"{host.address}:6379"
        (folder / "autoscaler.json").write_text(json.dumps(CONFIG))
        for _ in range(STARTS):  # Ray gives up after 30 s, which a busy machine may need
            if self._starts():
                return
            host.kill()
        raise AssertionError(self.logs())

    def _starts(self) -> bool:
        """Start the head and what watches it; return whether the head came up."""
        with (self.folder / "head.log").open("wb") as log, (self.folder / "nodes.log").open("wb") as nodes:
            start = ["ray", "start", "--head", "--block", "--port=6379", "--num-cpus=0", "--include-dashboard=false"]
            start += [f"--node-ip-address={self.host.address}", f"--temp-dir={self.host.network.disk}"]
            start += [f"--autoscaling-config={self.folder / 'autoscaler.json'}", "--object-store-memory=100000000"]
            head = self.host.start(*start, env=self.environment, output=log)
            self.host.start(sys.executable, "-c", WATCH, self.address, env=self.environment, output=nodes)
        while not self.nodes() and head.poll() is None:
            time.sleep(0.2)
        return head.poll() is None

    @property
    def environment(self) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "VIRAL_"))}
        return {**mine, **ENVIRONMENT}

    def nodes(self) -> list[int]:
        """The numbers of nodes that it has had, one after the other."""
        lines = (self.folder / "nodes.log").read_text().splitlines()
        return [int(line) for line in lines if line.isdigit()]  # others are Ray's own

    def await_nodes(self, number: int, running: subprocess.Popen[bytes] | None = None) -> None:
        """Wait until it has so many nodes, while a command runs."""
        until = time.monotonic() + WITHIN
        while self.nodes()[-1:] != [number]:
            assert time.monotonic() < until, (self.nodes(), self.logs())
            assert running is None or running.poll() is None, (self.nodes(), self.logs())
            time.sleep(0.2)

    def viral(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command on the host."""
        line = ("-c", "from cluster.cli import main; main()", *command, "--root", str(self.folder / "root"), "--json")
        with (self.folder / "viral.log").open("wb") as log:
            return self.host.start(sys.executable, *line, env=self.environment | SETTINGS, output=log)

    def summary(self, process: subprocess.Popen[bytes]) -> dict[str, object]:
        """What a command says when it has succeeded."""
        assert process.wait(WITHIN) == 0, self.logs()
        return dict(json.loads((self.folder / "viral.log").read_text().splitlines()[-1]))

    def logs(self) -> str:
        """Ends of the logs of the commands and of the autoscaler."""
        monitor = self.folder.glob("1/session_2*/logs/monitor*")
        files = [*sorted(self.folder.glob("*.log")), *sorted(monitor)]
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-3000:]}" for path in files)


@pytest.fixture
def autoscaled(machine: None) -> Iterator[Autoscaled]:
    # Not `tmp_path`: sockets lie below the folder.
    with tempfile.TemporaryDirectory(prefix="va-") as folder:
        network = HostNetwork(f"a{os.getpid()}", Path(folder), "10.75.0")
        try:
            network.create()
            yield Autoscaled(network.host(1), Path(folder))
        finally:
            network.remove()


def test_nodes_are_added_for_a_backfill_and_removed_when_they_have_no_more_work(
    autoscaled: Autoscaled, clips: list[Path]
) -> None:
    """The longest video comes first, and takes until a node without work is gone: in the tail, nodes are released."""
    folder = autoscaled.folder
    (folder / "root").mkdir()
    (folder / "set.yaml").write_text(json.dumps({"name": "pictures", "extractors": ["metadata", "craft"]}))
    long = folder / "wait-0.mp4"
    shutil.copyfile(clips[0], long)
    with (folder / "posts.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["post_id", "caption", "duration_seconds", "video_uri"])
        rows.writerows((f"post {i}", "words", "5", str(clip)) for i, clip in enumerate(clips[: POSTS - 1]))
        rows.writerow(("long", "words", "500", str(long)))
    autoscaled.await_nodes(1)
    autoscaled.summary(autoscaled.viral("ingest", "csv", str(folder / "posts.csv")))
    backfill = ("backfill", "--feature-set", str(folder / "set.yaml"), "--address", autoscaled.address)
    running = autoscaled.viral(*backfill)
    autoscaled.await_nodes(1 + WORKERS, running)
    autoscaled.await_nodes(WORKERS, running)
    long.with_suffix(".go").touch()
    summary = autoscaled.summary(running)
    assert (summary["posts"], summary["ok"], summary["cores"]) == (POSTS, POSTS, WORKERS)
    autoscaled.await_nodes(1)
