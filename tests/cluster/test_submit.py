"""Commands sent to a real cluster by its Jobs API: what travels, who runs, what goes wrong."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import viral
from tests.cluster.head import TOKEN, WITHIN, Cluster, kill, outcome
from tests.conftest import PROJECT
from tests.shared_ray import free_port
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.storage.store import Store

pytestmark = pytest.mark.slow
POSTS = "".join(f"{number},a caption of {number} words,{number}00\n" for number in range(1, 6))
SET = {"name": "words", "extractors": ["metadata", "caption"]}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("sender")
    (folder / "root").mkdir()
    (folder / "posts.csv").write_text(f"post_id,caption,view_count\n{POSTS}")
    (folder / "mine.yaml").write_text(json.dumps(SET))
    with tempfile.TemporaryDirectory(prefix="vs-", ignore_cleanup_errors=True) as ray_folder:
        cluster = Cluster(folder, Path(ray_folder))
        head = cluster.node(
            "--head",
            f"--port={cluster.port}",
            f"--dashboard-port={cluster.dashboard}",
            "--include-dashboard=true",
            f"--temp-dir={ray_folder}/r",
        )
        try:
            until = time.monotonic() + WITHIN
            while outcome(cluster.viral("jobs", "list", "--address", cluster.url))[0]:
                assert time.monotonic() < until, (folder / "nodes.log").read_text()
                time.sleep(1)
            yield cluster
        finally:
            kill(head)


def test_the_commands_of_the_readme(cluster: Cluster) -> None:
    """Their files travel, each command runs once though it is sent from two terminals, and the rows are in the root."""
    root, results = str(cluster.root), {}
    section = (
        (PROJECT / "cluster" / "README.md").read_text(encoding="utf-8").partition("## Send")[2].partition("## ")[0]
    )
    export, *lines = section.partition("```sh\n")[2].partition("```")[0].splitlines()
    variable, _, _ = export.removeprefix("export ").partition("=")
    for line in lines:
        arguments = line.replace("s3://bucket/tiktok", root).split()[1:]
        both = [
            cluster.viral(*arguments, **{variable: cluster.url})
            for _ in range(1 + line.startswith("viral submit back"))
        ]
        results[arguments[1]] = [outcome(process) for process in both]
        assert all(status == 0 for status, _, _ in results[arguments[1]]), results
    ((_, output, errors),) = results["ingest"]
    assert "table rows      5" in output
    assert len(errors.splitlines()) == 1, errors
    (job,) = [job["id"] for job in cluster.jobs() if "-backfill-" in job["id"]]
    assert sorted(errors.split()[0] for _, _, errors in results["backfill"]) == ["attached", "submitted"]
    assert all(job in errors for _, _, errors in results["backfill"])
    assert features_table(Store.open(root), FeatureSet.from_dict(SET)).stored_rows() == 5
    for number in (1, 2):
        status, output, errors = outcome(cluster.submit("--json", "status", f"--root={root}"))
        assert status == 0
        said = json.loads(output)
        assert (said["job"].rpartition("-")[2], said["status"]) == (str(number), "SUCCEEDED")
        assert "table features/words-" in errors  # a run of the backfill


def test_what_fails_says_why_and_can_be_looked_at(cluster: Cluster) -> None:
    (cluster.folder / "beside.csv").write_text("post_id,caption,video_uri\n1,words,videos/1.mp4\n")
    status, _, errors = outcome(
        cluster.submit("--retry", "1", "ingest", "csv", "beside.csv", "--root", str(cluster.root))
    )
    assert status == 2
    first, second, third, fourth = errors.splitlines()
    assert first.startswith("submitted")
    assert second.endswith("attempt 2 of 2")
    assert third.startswith("submitted")
    assert "beside.csv was sent with the job, and the videos that it names were not" in fourth
    failed = cluster.jobs()[-1]
    assert failed["status"] == "FAILED"
    logs = cluster.viral("jobs", "logs", failed["id"], "--address", cluster.url)
    assert "was sent with the job" in outcome(logs)[1]
    status, _, errors = outcome(cluster.viral("jobs", "status", "viral-none-1", "--address", cluster.url))
    assert (status, errors.count("\n")) == (2, 1)
    assert "has no job viral-none-1" in errors


def test_it_is_left_running_attached_to_and_stopped(cluster: Cluster) -> None:
    # The endpoint of a model that is not there waits for nothing; this feed is waited for.
    feed = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=feed.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{feed.server_port}/video.mp4"
    command = ("fetch", url, "--allow-host", "127.0.0.1", "--root", str(cluster.root))
    watching = cluster.submit(*command)
    assert watching.stderr is not None
    job = watching.stderr.readline().split()[1]
    watching.send_signal(signal.SIGINT)
    status, _, errors = outcome(watching)
    assert status == 0
    assert f"{job} goes on" in errors
    status, _, errors = outcome(cluster.submit("--timeout", "3", *command))
    assert f"attached to {job}" in errors
    assert (status, errors.splitlines()[-1]) == (
        2,
        f"error: {job} was stopped: its time is over; submit again, and it goes on",
    )
    until = time.monotonic() + WITHIN
    while (shown := {each["id"]: each["status"] for each in cluster.jobs()}[job]) == "RUNNING":
        assert time.monotonic() < until
        time.sleep(0.5)
    assert shown == "STOPPED"
    assert outcome(cluster.viral("jobs", "stop", job, "--address", cluster.url))[0] == 2
    feed.shutdown()
    feed.server_close()


class Slow(http.server.BaseHTTPRequestHandler):
    """Never answers."""

    def do_GET(self) -> None:
        """Wait longer than the test takes."""
        time.sleep(WITHIN)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["backfill", "--root", "root"], "the root root is relative"),
        (["backfill", "--root", "/r", "--shpe", "fused"], "No such option '--shpe'"),
        (["demo"], "no such job: 'demo'; choose from ingest"),
        (["ingest", "csv", "../sender0", "--root", "/r"], "is the folder of this command or above it"),
    ],
    ids=["relative root", "unknown option", "no job", "own folder"],
)
def test_a_wrong_request_is_refused_before_it_is_sent(cluster: Cluster, arguments: list[str], said: str) -> None:
    arguments = [f"../{cluster.folder.name}" if each == "../sender0" else each for each in arguments]
    status, _, errors = outcome(cluster.submit(*arguments))
    assert status == 2
    assert said in errors


@pytest.mark.parametrize("case", ["ray client", "head port", "nothing", "other server", "wrong token", "no token"])
@pytest.mark.parametrize("job", ["submit", "job"])
def test_a_wrong_address_is_one_line(cluster: Cluster, case: str, job: str) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    right = cluster.url if job == "submit" else f"127.0.0.1:{cluster.port}"
    wrong = f"127.0.0.1:{cluster.port}" if job == "submit" else f"127.0.0.1:{cluster.dashboard}"
    address, said = {
        "ray client": ("ray://127.0.0.1:10001", "ray://127.0.0.1:10001 is no"),
        "head port": (wrong, "8265"),
        "nothing": (f"127.0.0.1:{free_port()}", "answers at"),
        "other server": (f"127.0.0.1:{server.server_port}", "what answers at"),
        "wrong token": (right, "set RAY_AUTH_MODE=token"),
        "no token": (right, "set RAY_AUTH_MODE=token"),
    }[case]
    token = {"wrong token": "1" * 64, "no token": None}.get(case, TOKEN)
    mode = None if case == "no token" else "token"
    command = ("backfill", "--root", str(cluster.root))
    process = (
        cluster.viral("submit", "--address", address, *command, RAY_AUTH_TOKEN=token, RAY_AUTH_MODE=mode)
        if job == "submit"
        else cluster.viral(*command, "--address", address, RAY_AUTH_TOKEN=token, RAY_AUTH_MODE=mode)
    )
    status, output, errors = outcome(process)
    assert (status, output) == (2, "")
    assert len(errors.splitlines()) == 1, errors
    assert said in errors
    server.shutdown()
    server.server_close()


class Other(http.server.BaseHTTPRequestHandler):
    """Something else that speaks HTTP."""

    def do_GET(self) -> None:
        """Say hello."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_another_version_is_refused_unless_its_code_travels(cluster: Cluster, tmp_path: Path) -> None:
    for name in ("viral", "jobs", "serve", "cluster"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = tmp_path / "viral" / "__init__.py"
    code.write_text(code.read_text().replace(f'__version__ = "{viral.__version__}"', '__version__ = "9.9"'))
    command = ("status", "--root", str(cluster.root))
    status, _, errors = outcome(cluster.submit(*command, PYTHONPATH=str(tmp_path)))
    assert status == 2
    assert f"this cluster has viral {viral.__version__}, the sender 9.9: install one version" in errors
    sent = cluster.submit("--no-wait", "--json", "--code", *command, PYTHONPATH=str(tmp_path))
    job = json.loads(outcome(sent)[1])["job"]
    assert outcome(cluster.viral("jobs", "logs", "--follow", job, "--address", cluster.url))[0] == 0
    assert {each["id"]: each["status"] for each in cluster.jobs()}[job] == "SUCCEEDED"


def test_a_node_that_has_another_folder_of_that_name_is_named(cluster: Cluster) -> None:
    if os.geteuid():
        pytest.skip("hiding a folder from a process takes root")
    hide = f'mount -t tmpfs none {cluster.root} && exec "$@"'
    before = ("unshare", "--mount", "sh", "-c", hide, "sh")
    node = cluster.node(f"--address=127.0.0.1:{cluster.port}", before=before)
    try:
        until = time.monotonic() + WITHIN
        while True:
            command = ("backfill", "--feature-set", "mine.yaml", "--root", str(cluster.root))
            status, _, errors = outcome(cluster.viral(*command, "--address", f"127.0.0.1:{cluster.port}"))
            if status or time.monotonic() > until:
                break  # until the node has joined, all nodes see the root
        assert status == 2
        assert errors.count("\n") == 1, errors
        assert f"does not see the root {cluster.root}: use s3://bucket/prefix" in errors
    finally:
        kill(node)
