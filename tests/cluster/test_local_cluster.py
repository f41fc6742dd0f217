"""Jobs sent to a cluster of three nodes, each a host of its own, by a machine that sees none of their disks.

Its object storage fails at one request in twenty, as busy ones do.

Something dies in each backfill: `VIRAL_KILLS=20 python -m pytest tests/cluster/test_local_cluster.py -s` says what, and
what came after it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest

from cluster.local.hosts import Host
from cluster.local.nodes import METRICS, LocalCluster, LocalSettings
from cluster.observability.panels import DASHBOARDS
from serve.keys import add_key
from tests.cluster.at_storage import POSTS, SET
from tests.cluster.prometheus import scraping
from tests.cluster.trial import BIN, CLIENT, WITHIN, Trial, answers, write_posts
from tests.conftest import PROJECT, Viral
from tests.serve.ports import sockets
from viral.errors import ConfigError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(7200),
]

KILLS = int(os.environ.get("VIRAL_KILLS", "1"))
SEED = int(os.environ.get("VIRAL_KILLS_SEED", "9"))  # with which a node other than the head dies first
KINDS = ("head", "node", "worker", "raylet", "cable", "driver")  # what dies in turn
EPOCHS = 24
FAULTS = 20  # one request in so many to the storage gets one
STRANGER = CLIENT + 1  # number of a host
CABLE_SECONDS = 30.0
SOONER = {
    # A node whose process is gone is taken for dead after five checks; workers are not waited for on it.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "3",
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "3",
    "RAY_metrics_report_interval_ms": "2000",  # a backfill takes 20 s here, and a rate needs several reports
}


@pytest.fixture(scope="module")
def trial(machine: None, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    redis = shutil.which("redis-server") is not None
    cluster = LocalCluster(f"t{os.getpid()}", SOONER)
    try:
        cluster.up(LocalSettings(nodes=3, redis=redis, faults=FAULTS))
        trial = Trial(cluster, tmp_path_factory.mktemp("sent"))
        (trial.folder / "set.yaml").write_text(json.dumps(SET.to_dict()))
        write_posts(trial.folder / "posts.csv")
        trial.at_storage("videos", corpus / "videos")
        with scraping([f"{node.address}:{METRICS}" for node in trial.nodes], trial.folder / "prometheus") as prometheus:
            trial.prometheus = prometheus
            yield trial
    finally:
        subprocess.run([BIN / "viral", "cluster", "local", "--down", "--name", cluster.name], check=True)
        cluster.network.remove()  # waits for what this process has started
    assert not cluster.folder.exists()
    assert cluster.name not in subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def filled(trial: Trial) -> pa.Table:
    """The feature table, but for times, of backfills each of which lost something; all came to the same."""
    said = trial.done("ingest", "csv", "posts.csv", "--json")
    assert json.loads(said.splitlines()[-1])["posts"] == POSTS
    rng, tables = random.Random(SEED), []
    for number in range(KILLS):
        trial.at_storage("clear")
        shape, kind = ("two-stage", "fused")[number % 2], KINDS[number % len(KINDS)]
        print(f"{number + 1}: {shape}, {disturbed_backfill(trial, shape, kind, rng)}")
        table, rows = trial.at_storage("table")
        assert (table.num_rows, rows) == (POSTS, POSTS)
        tables.append(table)
        trial.cluster.mend()
    assert all(table.equals(tables[0]) for table in tables)
    return tables[0]


def disturbed_backfill(trial: Trial, shape: str, kind: str, rng: random.Random) -> str:
    """A backfill during which something is killed; describes what, and what came after it."""
    sent, started = trial.backfill(shape), time.monotonic()
    while "submitted " not in trial.said("backfill"):
        assert sent.poll() is None, trial.logs()
        time.sleep(0.1)
    moment = rng.uniform(3.0, 18.0)  # seconds; the job has begun, and has not ended
    time.sleep(moment)
    what = killed(trial, kind, rng)
    while sent.poll() is None:
        assert time.monotonic() < started + 2 * WITHIN, trial.logs()
        trial.cluster.mend()
        time.sleep(1)
    assert sent.returncode == 0, trial.logs()
    return f"after {moment:.1f} s {what}; {trial.said('backfill').count('attempt')} retries"


def by_id(rows: pa.Table) -> dict[str, list[object]]:
    """Status and vectors of a feature table by post."""
    return {row["post_id"]: [row["status"], *(row[name] for name in SET.dims)] for row in rows.to_pylist()}


def killed(trial: Trial, kind: str, rng: random.Random) -> str:
    """Kill something and describe it."""
    if kind == "driver":
        return f"{trial.nodes[0].kill('cluster.submitting.entry')} processes of the driver"
    if kind == "head":
        return f"all {trial.nodes[0].kill()} processes of the head"
    host = rng.choice(trial.nodes)
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


def test_whatever_dies_the_rows_are_those_of_one_process(trial: Trial, filled: pa.Table) -> None:
    rows, alone = by_id(filled), trial.at_storage("alone")
    assert {status for status, *_ in alone.values()} >= {"ok", "failed"}
    for name, (status, *vectors) in alone.items():
        assert rows[name][0] == status
        for vector, other in zip(rows[name][1:], vectors, strict=True):
            assert vector == pytest.approx(other, abs=1e-6)  # one process computes on more threads than a worker


@pytest.fixture(scope="module")
def model(trial: Trial, filled: pa.Table) -> str:
    """The name of a model that was trained in one process."""
    trial.done("label", "--split", "author")
    trial.done(*training("whole"), "--workers", "0")
    return "whole"


def training(name: str) -> tuple[str, ...]:
    """In so small batches that most of it lies ahead when the first checkpoint is there."""
    patient = ("--epochs", f"{EPOCHS}", "--patience", f"{EPOCHS}", "--batch-size", "4")
    return ("train", "fusion", "--feature-set", "set.yaml", "--name", name, *patient, "--json")


def test_a_training_whose_nodes_die_goes_on_with_fewer_workers(trial: Trial, model: str) -> None:
    sent = trial.submit(*training("killed"), "--workers", "1-2")
    trial.at_storage("checkpoint")
    busy = [any("RayTrainWorker" in line for line in host.processes().values()) for host in trial.nodes]
    assert sum(busy) > 1, trial.logs()
    for host in trial.nodes[1:]:
        host.kill()
    assert sent.wait(WITHIN) == 0, trial.logs()
    summary = json.loads(trial.said("train").splitlines()[-1])
    assert 0 < summary["resumed_at_epoch"] < EPOCHS
    whole, killed = (np.array(curve) for curve in map(trial.at_storage("losses").get, (model, "killed")))
    assert whole.shape == killed.shape == (EPOCHS, 2)
    print(f"on {sum(busy)} nodes, then one: taken up at epoch {summary['resumed_at_epoch']}")
    print("at the end:", whole[-12:].mean(axis=0), killed[-12:].mean(axis=0))
    np.testing.assert_allclose(killed[-12:].mean(axis=0), whole[-12:].mean(axis=0), rtol=0.15)


def test_a_model_is_evaluated_and_served(trial: Trial, model: str) -> None:
    trial.cluster.mend()
    trial.done("evaluate", "--model", model, "--resamples", "100")
    keys = trial.cluster.folder / "keys.json"  # as a mounted secret: every node sees it
    key = add_key(keys, "test", None)
    where = ("--host", "0.0.0.0", "--port", "8000", "--keys-file", str(keys))
    serving = trial.submit("serve", "--model", model, *where)
    url = f"http://{trial.nodes[0].address}:8000"
    until = time.monotonic() + WITHIN
    while not answers(f"{url}/readyz"):
        assert serving.poll() is None, trial.logs()
        assert time.monotonic() < until, trial.logs()
        time.sleep(0.5)
    ask = partial(httpx.post, f"{url}/v1/score", json={"caption": "words"}, timeout=60, trust_env=False)
    assert ask().status_code == 401
    answer = ask(headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    while trial.prometheus is not None and (empty := trial.prometheus.empty_panels("serving")):
        assert time.monotonic() < until, empty  # replicas report every few seconds, and what they did not is lost
        assert ask(headers={"Authorization": f"Bearer {key}"}).status_code == 200
        time.sleep(1)
    job = next(line.split()[1] for line in trial.said("serve").splitlines() if line.startswith("submitted "))
    trial.viral("jobs", "stop", job)
    assert serving.wait(WITHIN) == 2
    assert not answers(f"{url}/readyz")


def test_every_panel_and_the_alert_for_failing_posts_had_something_to_show(trial: Trial, model: str) -> None:
    """Prometheus has watched all tests before; a quarter of their posts fails."""
    if trial.prometheus is None:
        pytest.skip("Prometheus is not installed: apt-get install prometheus")
    assert trial.prometheus.empty_panels(*DASHBOARDS) == []
    fired = {alert["metric"]["alertname"] for alert in trial.prometheus.query('ALERTS{alertstate="firing"}')}
    assert fired - {"ViralNodeLost"} == {"ViralBackfillFails"}  # the killed nodes may have been away for a minute


def test_a_machine_without_the_token_reaches_only_what_the_readme_says(trial: Trial) -> None:
    stranger = trial.cluster.network.host(STRANGER)
    ports = [f"{host.address}:{port}" for host in (*trial.nodes, trial.storage) for port in open_ports(host)]
    assert len(ports) > 10
    with (trial.folder / "scan.log").open("w+b") as output:
        command = [sys.executable, "-m", "tests.cluster.scan", *ports]
        assert stranger.start(*command, env={**os.environ, "PYTHONPATH": str(PROJECT)}, output=output).wait(WITHIN) == 0
    found = {int(at.rpartition(":")[2]) for at in json.loads(trial.said("scan").splitlines()[-1])}
    assert found - {8000} == {METRICS, 5000, 5001}  # Serve's port needs a key; where no endpoint runs, there is nothing


def open_ports(host: Host) -> set[int]:
    """The ports that a host listens on beyond its loopback."""
    with tempfile.TemporaryFile() as output:
        assert host.start("cat", "/proc/net/tcp", "/proc/net/tcp6", env=os.environ, output=output).wait(WITHIN) == 0
        output.seek(0)
        return {port for address, port in sockets(output.read().decode()) if not address.startswith("127.")}


def test_the_command_starts_what_has_ended_and_refuses_other_settings(trial: Trial) -> None:
    name, third = trial.cluster.name, trial.nodes[2]
    with pytest.raises(ConfigError, match="exists with other settings"):
        LocalCluster(name).up(LocalSettings(nodes=2))
    subprocess.run(f"ip netns pids viral-{name}-3 | xargs kill -9", shell=True, check=True)  # and its first process
    options = ["--faults", str(FAULTS), *(["--redis"] if trial.cluster.settings.redis else [])]
    subprocess.run([BIN / "viral", "cluster", "local", "--name", name, *options], check=True)
    assert any("raylet/raylet" in line for line in third.processes().values())


def test_the_commands_of_the_readme(trial: Trial, tmp_path: Path) -> None:
    """On the cluster that runs, with another's token in the shell; the last one ends the cluster of these tests."""
    *lines, down = readme_lines()
    assert down == "sudo viral cluster local --down"
    name, settings = trial.cluster.name, trial.cluster.settings
    same = f"--nodes 3 --name {name} --faults {FAULTS}{' --redis' if settings.redis else ''}"
    script = "\n".join(["set -e", *lines]).replace("sudo ", "").replace("viral-default", f"viral-{name}")
    script = script.replace("--nodes 3", same)
    environment = {**os.environ, "RAY_AUTH_TOKEN": "0" * 64, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"3 nodes, head {trial.cluster.address}" in done.stdout
    assert "  backfill   finished" in done.stdout


def test_two_that_start_it_at_once_start_one(machine: None) -> None:
    name = f"w{os.getpid()}"
    command = [BIN / "viral", "cluster", "local", "--nodes", "1", "--name", name]
    try:
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        said = [process.communicate(timeout=WITHIN) for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert said[0] == said[1]
    finally:
        subprocess.run([BIN / "viral", "cluster", "local", "--down", "--name", name], check=True)


def readme_lines() -> list[str]:
    section = (PROJECT / "cluster" / "README.md").read_text().partition("## A cluster on this machine")[2]
    return section.partition("```sh\n")[2].partition("```")[0].splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--down", "--name", "none"), "error: no cluster named 'none' runs here"),
        (("--down", "--nodes", "2"), "error: --down takes only --name"),
        (("--name", "a b"), "error: a cluster's name has at most 12 letters and digits, not 'a b'"),
    ],
)
def test_what_cannot_be_is_one_line(viral_here: Viral, arguments: tuple[str, ...], message: str) -> None:
    done = viral_here("cluster", "local", *arguments)
    assert (done.returncode, done.stderr) == (2, f"{message}\n")
