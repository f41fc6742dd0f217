"""The Ray session of a command: found, started, left as it was."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jobs.runtime import local_ray
from jobs.runtime.buckets import bucket_dataset, map_buckets
from jobs.runtime.session import session, unwrapped
from viral.errors import SourceError, StorageError

SCRIPT = """
import os, sys, tempfile
from pathlib import Path
from jobs.runtime.buckets import map_buckets
from jobs.runtime.session import connect, session

def work(bucket):
    print("a task's print")
    return {"bucket": bucket, "pid": os.getpid()}

try:
    with session():
        connect()
        [folder] = Path(tempfile.gettempdir()).glob("viral-ray-*")
        print(len(list(map_buckets(work, 2))), folder.is_dir())
        os.write(2, b"Actor has constructor arguments in the object store\\nfrom below\\n")
        print("from Python", file=sys.stderr)
        unfinished = map_buckets(work, 3)
        next(unfinished)
        raise KeyboardInterrupt
finally:
    print(folder.exists())
    os.write(2, b"after\\n")
    import ray
    print(ray.is_initialized())
"""


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**environment, "TMPDIR": str(folder)},
    )


@pytest.fixture
def temporary() -> Path:
    """A folder with a short path: those of Ray's sockets must have less than 107 characters."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_an_interrupted_session_leaves_nothing_says_nothing_and_starts_no_other(temporary):
    killed = temporary / "viral-ray-of-one-that-was-killed"
    killed.mkdir()
    (killed / "in-use").touch()
    done = run(folder=temporary)
    assert done.stdout.split() == ["4", "True", "False", "False"], done.stderr
    own, traceback = done.stderr.split("Traceback (most recent call last):\n")
    assert sorted(own.split("\n")) == ["", "after", "from Python", "from below"]
    assert traceback.rstrip().endswith("KeyboardInterrupt"), done.stderr
    for noise in ("Exception ignored", "Started a local Ray instance", "ray.exceptions"):
        assert noise not in traceback
    assert list(temporary.iterdir()) == []


def test_a_cluster_that_does_not_answer_is_one_line(viral_process, tmp_path):
    (tmp_path / "p.csv").write_text("post_id\n1\n")
    done = viral_process("ingest", "csv", tmp_path / "p.csv", "--root", tmp_path, "--address", "127.0.0.1:1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: no Ray cluster answers at 127.0.0.1:1")


def test_inside_another_session_nothing_is_started(ray_session):
    import ray

    before = ray.get_runtime_context().get_node_id()
    with session("127.0.0.1:1"):
        assert ray.get_runtime_context().get_node_id() == before
    assert ray.is_initialized()


def _raise(bucket: int) -> dict[str, int]:
    if bucket == 3:
        raise SourceError("one line: the fix")
    return {"bucket": bucket}


def test_what_a_task_raises_comes_as_itself(ray_session):
    with pytest.raises(SourceError) as caught, unwrapped():
        list(map_buckets(_raise, 2))
    assert type(caught.value) is SourceError
    assert str(caught.value) == "one line: the fix"


def test_what_is_not_ours_stays_what_it_is():
    with pytest.raises(ZeroDivisionError), unwrapped():
        raise ZeroDivisionError
    with pytest.raises(StorageError, match="inner"), unwrapped():
        try:
            raise StorageError("inner")
        except StorageError as error:
            raise RuntimeError("outer") from error


def test_buckets_come_in_order_however_many(ray_session):
    assert list(map_buckets(lambda bucket: bucket, 3)) == list(range(8))
    assert bucket_dataset(11).count() == 2048


@pytest.mark.parametrize(("failures", "starts"), [(2, 3), (9, 3)])
def test_a_node_that_starts_too_slowly_is_started_again(tmp_path, monkeypatch, failures, starts):
    """Ray's own message on a machine that starts many at once, which cannot be brought about at will."""
    tried = []

    def start(folder: Path, *, debug: bool, metrics_port: int) -> None:
        tried.append(folder)
        if len(tried) <= failures:
            raise Exception("The current node timed out during startup. This could happen because …")

    monkeypatch.setattr(local_ray, "_init", start)
    if failures < starts:
        local_ray.start_local(tmp_path, debug=False)
    else:
        with pytest.raises(local_ray.RayStartError, match="too busy; run the command again"):
            local_ray.start_local(tmp_path, debug=False)
    assert len(tried) == starts


def test_a_machine_without_memory_is_one_line():
    code = (
        "import tempfile, pathlib, jobs.runtime.local_ray as ray\n"
        "total = int(next(line for line in open('/proc/meminfo') if 'MemTotal' in line).split()[1]) << 10\n"
        "ray.OBJECT_STORE_BYTES = total + (1 << 30)\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    ray.start_local(pathlib.Path(folder), debug=False)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode
    assert "GiB of this machine's memory is free; end other programs" in ended.stderr.splitlines()[-1]
