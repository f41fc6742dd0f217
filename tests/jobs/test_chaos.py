"""A cluster of three nodes, each on a host of its own, on which anything is killed at any moment.

`VIRAL_KILLS=20 python -m pytest tests/jobs/test_chaos.py -s` says each kill and what came after it.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.runtime.local_ray import LOCAL
from tests.jobs.chaos_storage import POSTS, ROOT, SET
from tests.network import Host, Network

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("VIRAL_KILLS", "1"))
SEED = int(os.environ.get("VIRAL_KILLS_SEED", "9"))  # with which a node other than the head dies first
HEAD, NODES, STORAGE = 1, (1, 2, 3), 9
EPOCHS = 40
WITHIN = 300.0
CABLE_SECONDS = 30.0
BIN = Path(sys.executable).parent
WAIT_FOR_NODES = """
import sys, time, ray
ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]):
    time.sleep(0.2)
"""


class Cluster:
    """Three Ray nodes and an S3 server, each on a host of its own; jobs are started on the first."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network, self.folder = network, folder
        self.storage = network.host(STORAGE)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "VIRAL_", "RAY_"))},
            "AWS_ENDPOINT_URL": f"http://{self.storage.address}:5000",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0" * 64,
            **LOCAL,
            # A node whose process is gone is taken for dead after five checks; workers are not waited for on it.
            "RAY_health_check_initial_delay_ms": "1000",
            "RAY_health_check_period_ms": "500",
            "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "3",
            "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "3",
            "RES_OPTIONS": "timeout:1 attempts:1",  # there is no name server, and torch looks up each address
            "GLOO_SOCKET_IFNAME": "eth0",  # their one name leads to 127.0.0.1, which torch would take for an address
        }
        self.storage.start(str(BIN / "moto_server"), "-H", self.storage.address, "-p", "5000", env=self.environment)
        self.address = f"{network.host(HEAD).address}:6379"
        self.alone: dict[str, list[object]] = {}
        self.filled = False
        self.mend()

    def mend(self) -> None:
        """Start what does not run; without its head, a cluster is a new one."""
        head, started = self.network.host(HEAD), False
        if not {"gcs_server", "raylet/raylet"} <= {
            name for name in ("gcs_server", "raylet/raylet") if any(name in line for line in head.processes().values())
        }:
            for number in NODES:
                self.network.host(number).kill()
        for number in NODES:
            host = self.network.host(number)
            if not any("raylet/raylet" in line for line in host.processes().values()):
                host.kill()
                self._start(number, host)
                started = True
                # Their sockets lie in one folder, here alone: two that start at once would choose the same names.
                until = time.monotonic() + WITHIN
                while not any("RuntimeEnvAgent" in line for line in host.processes().values()):
                    assert time.monotonic() < until, self.logs()
                    time.sleep(0.2)
        if not started:
            return
        probe = head.start(sys.executable, "-c", WAIT_FOR_NODES, self.address, str(len(NODES)), env=self.environment)
        assert probe.wait(120) == 0

    def _start(self, number: int, host: Host) -> None:
        role = ["--head", "--port=6379", "--include-dashboard=false", f"--temp-dir={self.folder}/r"]
        role = role if number == HEAD else [f"--address={self.address}"]
        command = [str(BIN / "ray"), "start", *role, f"--node-ip-address={host.address}", "--num-cpus=1", "--block"]
        with (self.folder / f"node-{number}.log").open("ab") as log:
            host.start(*command, "--object-store-memory=150000000", env=self.environment, output=log)

    def viral(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command, as its user would on the first node; what it says goes to `<command>.log`."""
        cluster = () if arguments[0] == "label" else ("--address", self.address)
        with (self.folder / f"{arguments[0]}.log").open("wb") as log:
            return self.network.host(HEAD).start(
                str(BIN / "viral"), *arguments, *cluster, "--root", ROOT, "--json", env=self.environment, output=log
            )

    def backfill(self, shape: str = "fused") -> subprocess.Popen[bytes]:
        """Start one."""
        return self.viral("backfill", *self.feature_set, "--shape", shape)

    @property
    def feature_set(self) -> tuple[str, str]:
        """As an option."""
        return "--feature-set", str(self.folder / "set.yaml")

    def logs(self) -> str:
        """Ends of the logs of commands and nodes."""
        return "\n".join(path.name + ": " + path.read_text()[-1500:] for path in sorted(self.folder.glob("*.log")))

    def at_storage(self, what: str, file: Path | None = None) -> Any:
        """Run chaos_storage.py on the host of the S3 server and return its result."""
        answer = file or self.folder / "answer.pickle"
        command = [sys.executable, str(Path(__file__).with_name("chaos_storage.py")), what, str(answer)]
        with (self.folder / "storage.log").open("wb") as log:
            process = self.storage.start(*command, env=self.environment, output=log)
            assert process.wait(WITHIN) == 0, self.logs()
        return pickle.loads(answer.read_bytes()) if what in ("alone", "table", "losses") else None


@pytest.fixture(scope="module")
def cluster(corpus: Path) -> Iterator[Cluster]:
    if os.geteuid():
        pytest.skip("making network namespaces takes root")
    with tempfile.TemporaryDirectory(prefix="vc-", ignore_cleanup_errors=True) as folder, Network() as network:
        path = Path(folder)
        (path / "set.yaml").write_text(json.dumps(SET.to_dict()))
        cluster = Cluster(network, path)
        cluster.at_storage("fill", corpus / "videos")
        cluster.alone = cluster.at_storage("alone")
        yield cluster


def by_id(rows: pa.Table) -> dict[str, list[object]]:
    """Status and vectors of a feature table by post."""
    return {row["post_id"]: [row["status"], *(row[name] for name in SET.dims)] for row in rows.to_pylist()}


def killed(cluster: Cluster, kind: str, rng: random.Random, driver: subprocess.Popen[bytes]) -> str:
    """Kill something and describe it."""
    if kind == "driver":
        driver.kill()
        return "the driver"
    host = cluster.network.host(rng.choice(NODES))
    if kind == "worker":
        workers = [pid for pid, line in host.processes().items() if line.startswith("ray::") and "Agent" not in line]
        if workers:
            os.kill(victim := rng.choice(workers), 9)
            return f"process {victim} of {host.address}"
        return "no worker: none ran"
    if kind == "raylet":
        return f"{host.kill('raylet/raylet')} raylet of {host.address}"
    if kind == "node":
        return f"all {host.kill()} processes of {host.address}"
    host.unplug()
    time.sleep(CABLE_SECONDS)
    host.plug()
    return f"the cable of {host.address}, for {CABLE_SECONDS:.0f} s"


def test_whatever_dies_the_table_is_the_same(cluster: Cluster) -> None:
    started = time.monotonic()
    whole = cluster.backfill()
    assert whole.wait(WITHIN) == 0, cluster.logs()
    duration = time.monotonic() - started
    expected, rows = cluster.at_storage("table")
    assert (expected.num_rows, rows) == (POSTS, POSTS)
    for name, (status, *vectors) in cluster.alone.items():
        row = by_id(expected)[name]
        assert row[0] == status
        for vector, other in zip(row[1:], vectors, strict=True):
            assert vector == pytest.approx(other, abs=1e-6)  # one process computes on more threads than a worker
    rng = random.Random(SEED)
    kinds = ["node", "worker", "raylet", "cable", "driver"]
    for number in range(KILLS):
        cluster.mend()
        cluster.at_storage("clear")
        shape = ("two-stage", "fused")[number % 2]
        driver = cluster.backfill(shape)
        moment = rng.uniform(0.2, 1.0) * duration
        time.sleep(moment)
        what = killed(cluster, kinds[number % len(kinds)], rng, driver)
        runs = [driver.wait(WITHIN)]
        while runs[-1] != 0:
            assert len(runs) < 4, cluster.logs()
            cluster.mend()
            runs.append(cluster.backfill(shape).wait(WITHIN))
        found, rows = cluster.at_storage("table")
        print(f"{number + 1}: {shape}, after {moment:.1f} of {duration:.1f} s {what}; exit statuses {runs}", flush=True)
        assert found.equals(expected)
        assert rows == POSTS
    cluster.filled = True


def test_a_training_whose_nodes_die_goes_on_with_fewer_workers(cluster: Cluster) -> None:
    cluster.mend()
    if not cluster.filled:
        assert cluster.backfill().wait(WITHIN) == 0, cluster.logs()
    assert cluster.viral("label", "--split", "author", "--keep-copies").wait(WITHIN) == 0, cluster.logs()
    # In so small batches that most of it lies ahead when the first checkpoint is there.
    patient = ("--epochs", f"{EPOCHS}", "--patience", f"{EPOCHS}", "--batch-size", "4")
    train = ("train", "fusion", *cluster.feature_set, "--workers", "1-2", *patient)
    assert cluster.viral(*train, "--workers", "0", "--name", "whole").wait(WITHIN) == 0, cluster.logs()
    training = cluster.viral(*train, "--name", "killed")
    cluster.at_storage("checkpoint")
    hosts = [cluster.network.host(number) for number in NODES]
    busy = [any("RayTrainWorker" in line for line in host.processes().values()) for host in hosts]
    assert sum(busy) > 1, cluster.logs()
    for host in hosts[1:]:
        host.kill()
    assert training.wait(WITHIN) == 0, cluster.logs()
    summary = json.loads((cluster.folder / "train.log").read_text().splitlines()[-1])
    assert 0 < summary["resumed_at_epoch"] < EPOCHS
    whole, killed = (np.array(curve) for curve in map(cluster.at_storage("losses").get, ("whole", "killed")))
    assert whole.shape == killed.shape == (EPOCHS, 2)
    print(f"on {sum(busy)} nodes, then one: taken up at epoch {summary['resumed_at_epoch']}")
    print("at the end:", whole[-15:].mean(axis=0), killed[-15:].mean(axis=0))
    np.testing.assert_allclose(killed[-15:].mean(axis=0), whole[-15:].mean(axis=0), rtol=0.15)
