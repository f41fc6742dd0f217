"""Fixtures that all tests share."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.cli import main
from tests import planted
from tests.shared_ray import SharedRay, free_port
from viral.demo import CorpusSpec, generate
from viral.storage import s3
from viral.storage.store import Store

os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # a test that forgot to start Ray fails at once
# Threads of OpenMP wait for each other in busy loops: with more of them than cores, small work takes ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
PROJECT = Path(__file__).resolve().parent.parent
JOBS = PROJECT / "tests" / "jobs"
# The first makes the root that most tests of jobs start from; the next need none, so nobody waits for it. At the end of
# a run, files as long as these would leave one process alone.
EARLY = [
    PROJECT / "tests" / name
    for name in ("jobs/test_audit.py", "storage/test_faults.py", "cluster/test_local_cluster.py")
]
ODD_NAME = "a b%20c+é漢?"  # of folders and prefixes: users have such, and each of these means something in a URI
CORPUS_POSTS = 44  # enough for three splits by author and for a quarter of viral posts in each
CLIPS = CorpusSpec(posts=CORPUS_POSTS, authors=15, seconds=(3.1, 4.5), size=(192, 108), fps=12, seed=5)
MadeOnce = Callable[[str, Callable[[Path], None]], Path]
Viral = Callable[..., subprocess.CompletedProcess[str]]
S3_STARTS_WITHIN = 60.0  # seconds; it imports for two or three of them, longer where the cores are busy


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test that starts Ray as slow, and put `EARLY` before the other tests of jobs."""
    first = next((number for number, item in enumerate(items) if item.path.is_relative_to(JOBS)), len(items))
    early = [item for path in EARLY for item in items if item.path == path]
    before, after = ([item for item in part if item.path not in EARLY] for part in (items[:first], items[first:]))
    items[:] = before + early + after
    for item in items:
        if {"shared_ray", "temporary", "cluster"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def no_power_cuts() -> Iterator[None]:
    """Files are not flushed to the disk: that can take 30 ms each, and no test pulls the plug."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _file: None)
        yield


@pytest.fixture(scope="session")
def data_folder() -> Path | None:
    """The folder of real data beside the project, or `$VIRAL_TEST_DATA`; None where there is none."""
    folder = Path(os.environ.get("VIRAL_TEST_DATA", PROJECT.parent / "shared" / "data"))
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def shared_data(data_folder: Path | None) -> Path:
    """The folder of real data; tests that are about real files skip without it."""
    if data_folder is None:
        pytest.skip("no real data beside the project: set VIRAL_TEST_DATA to a folder that holds it")
    return data_folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Make a folder once per run: the first process to ask makes it, the others wait for it. Read only."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def get(name: str, make: Callable[[Path], None]) -> Path:
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (base / name).exists():
                unfinished = base / f"{name}.unfinished"
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(base / name)
        return base / name

    return get


@pytest.fixture(scope="session")
def corpus(made_once: MadeOnce) -> Path:
    """A synthetic corpus of `CORPUS_POSTS` posts, one of them without a caption. Read only."""

    def make(folder: Path) -> None:
        generate(folder, CLIPS, workers=1)
        with (folder / "posts.csv").open(encoding="utf-8", newline="") as file:
            posts = list(csv.DictReader(file))
        posts[1]["caption"] = ""
        with (folder / "posts.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, posts[0])
            writer.writeheader()
            writer.writerows(posts)

    return made_once("corpus", make)


@pytest.fixture(scope="session")
def clips(corpus: Path) -> list[Path]:
    """The videos of the synthetic corpus, shortest first."""
    with (corpus / "posts.csv").open(encoding="utf-8", newline="") as file:
        posts = sorted(csv.DictReader(file), key=lambda post: float(post["duration_seconds"]))
    return [corpus / post["video_uri"] for post in posts]


@pytest.fixture(scope="session")
def videos(data_folder: Path | None, made_once: MadeOnce) -> list[Path]:
    """Real TikToks, the smallest first; where there are none, four synthetic clips of seven seconds."""
    if data_folder is None:
        spec = CorpusSpec(posts=4, authors=2, seconds=(7.0, 8.0), size=(480, 270), seed=6)
        folder = made_once("videos", lambda made: generate(made, spec, workers=1) and None)
    else:
        folder = data_folder / "tiktok_videos"
    return sorted((folder / "videos").glob("*.mp4"), key=lambda path: path.stat().st_size)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 server as a process of its own, and an environment that names it: of this process and those it starts.

    Ray's workers get the environment of the process that starts Ray: take this fixture before.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    log = tmp_path_factory.mktemp("s3") / "server.log"
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    with pytest.MonkeyPatch.context() as patch, log.open("wb") as output:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL", address)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        small_pages = {**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": "100"}  # so that short listings have several
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=small_pages)
        try:
            _wait_for(server, port, log)
            yield address
        finally:
            server.terminate()
            server.wait()


@pytest.fixture(scope="session")
def shared_ray(s3_server: str) -> Iterator[SharedRay]:
    """Ray for the tests of this process; its workers know the S3 server."""
    del s3_server
    shared = SharedRay()
    yield shared
    shared.end()


@pytest.fixture(scope="module")
def ray_session(shared_ray: SharedRay) -> None:
    """This process is connected to the Ray that its tests share."""
    shared_ray.up()


@pytest.fixture
def viral_here(monkeypatch: pytest.MonkeyPatch) -> Viral:
    """Run `viral` in this process: a process of its own would import everything again, for seconds."""

    def call(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        line = ["viral", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", line)
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        output, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(output), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
            main()
        return subprocess.CompletedProcess(line, ended.value.code or 0, output.getvalue(), errors.getvalue())

    return call


@pytest.fixture
def s3_root(s3_server: str) -> str:
    """A root in a fresh bucket, below a prefix that URIs would escape."""
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    s3.client().create_bucket(Bucket=bucket)
    return f"s3://{bucket}/{ODD_NAME}"


@pytest.fixture(params=["folder", "s3"])
def any_root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty root: a test that takes it runs on a folder and on S3."""
    if request.param == "s3":
        return str(request.getfixturevalue("s3_root"))
    root = tmp_path / ODD_NAME
    root.mkdir()
    return str(root)


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    """The store at an empty root in a folder."""
    (tmp_path / "root").mkdir()
    return Store.open(tmp_path / "root")


@pytest.fixture
def any_store(any_root: str) -> Store:
    """The store at an empty root, on a folder and on S3."""
    return Store.open(any_root)


def _wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + S3_STARTS_WITHIN
    while time.monotonic() < until and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"moto_server (pip install 'viral[dev]') does not answer: {log.read_text()[-500:]}")


@pytest.fixture(scope="session")
def planted_world(made_once: MadeOnce) -> planted.World:
    """A model of posts whose truth is known, trained and calibrated. Read only."""
    return planted.load(Store(made_once("planted", lambda folder: planted.make(Store(folder)))))


@dataclass(frozen=True)
class Website:
    """The site of website.py at two hosts, and what it was asked."""

    port: int

    def __call__(self, path: str, host: str = "127.0.0.1") -> str:
        """The address of a path."""
        return f"http://{host}:{self.port}/{path}"

    def asked(self, path: str = "") -> list[tuple[float, str, str, dict[str, str]]]:
        """Of each request whose path begins so: seconds, host, path, headers."""
        return [tuple(row) for row in self._log()["requests"] if row[2].startswith(f"/{path}")]

    def sent(self, path: str) -> int:
        """How many bytes of bodies were sent for a path."""
        return int(self._log()["sent"].get(f"/{path}", 0))

    def _log(self) -> dict[str, Any]:
        with urllib.request.urlopen(self("log"), timeout=10) as answer:
            return json.load(answer)


@pytest.fixture
def website(tmp_path: Path) -> Iterator[Website]:
    """A website of this machine, as a process of its own; below `files/` lies the folder `site` of the test."""
    script = Path(__file__).with_name("website.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "site")], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield Website(int(process.stdout.readline()))
        finally:
            process.kill()
