"""`viral serve` as its user starts and ends it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from serve.keys import KEY_VARIABLE
from tests.conftest import Viral
from tests.serve.conftest import BEARER, KEY
from tests.serve.ports import listening, refuses_strangers

VIRAL = str(Path(sys.executable).with_name("viral"))
STARTS_WITHIN, ENDS_WITHIN = 240.0, 45.0  # seconds


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for all temporary files of a command; its path is short, as Ray's sockets need it."""
    with tempfile.TemporaryDirectory(prefix="vs-") as folder:
        yield Path(folder)


def processes(temporary: Path, named: str = "") -> list[int]:
    """The processes that were started with this folder for temporary files, by their command line, and their children.

    Ray writes the names of its processes over what Linux shows of their environment, partly or whole.
    """
    parents = {int(path.name): parent(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()}
    ours = {pid for pid in parents if f"TMPDIR={temporary}".encode() in read(pid, "environ")}
    while more := {pid for pid, above in parents.items() if above in ours} - ours:
        ours |= more
    return [pid for pid in sorted(ours) if named.encode() in read(pid, "cmdline")]


def parent(pid: int) -> int:
    status = read(pid, "status").decode()
    return int(status.partition("PPid:")[2].split()[0]) if status else 0


def read(pid: int, name: str) -> bytes:
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:  # it has ended
        return b""


@contextmanager
def started(root: Path, temporary: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """`viral serve` in a process group of its own, as in a terminal; killed if the test fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIRAL_", "RAY_"))}
    process = subprocess.Popen(
        [VIRAL, "serve", "--root", str(root), "--model", "tiny", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**kept, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1", **more},
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # ignored in a shell's background jobs
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def url_of(process: subprocess.Popen[str]) -> str:
    """Its URL, as it says itself once it serves."""
    assert process.stdout
    message = process.stdout.readline()
    assert message.startswith("serving tiny/1 at http://127.0.0.1:"), process.communicate()
    return message.split()[3]


def test_it_serves_until_ctrl_c(root: Path, clip: Path, temporary: Path) -> None:
    with started(root, temporary) as process:
        url = url_of(process)
        reply = httpx.post(f"{url}/v1/score", files={"file": clip.read_bytes()}, timeout=30, trust_env=False)
        assert reply.status_code == 200
        os.killpg(process.pid, signal.SIGINT)  # as in a terminal: to all processes of the group
        out, err = process.communicate(timeout=ENDS_WITHIN)
        assert process.returncode == 0
    assert out == ""
    assert err == ""
    assert_nothing_left(temporary)


def test_what_is_asked_before_sigterm_is_answered(root: Path, clip: Path, temporary: Path) -> None:
    """Also a slow request; a new one is refused in the meantime. The key is in no file at any time."""
    with started(root, temporary, VIRAL_API_KEY=KEY) as process, ThreadPoolExecutor(1) as pool:
        url = url_of(process)
        post = partial(httpx.post, f"{url}/v1/score", headers=BEARER, timeout=60, trust_env=False)
        assert httpx.get(f"{url}/v1/models", trust_env=False).status_code == 401
        assert post(files={"file": clip.read_bytes()}).status_code == 200
        assert_only_ports_of_readme(httpx.URL(url), temporary)
        (decoder,) = processes(temporary, "viral.media.child")
        os.kill(decoder, signal.SIGSTOP)
        slow = pool.submit(post, files={"file": clip.read_bytes() + b"another"})
        time.sleep(1)
        assert_key_in_no_file(temporary)
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        late = post(json={"caption": "a"})
        assert (late.status_code, late.json()["reason"]) == (503, "draining")
        assert not slow.done()
        os.kill(decoder, signal.SIGCONT)
        assert slow.result().status_code == 200
        out, err = process.communicate(timeout=ENDS_WITHIN)
        assert process.returncode == 0
    assert out == ""
    assert err == ""
    assert_nothing_left(temporary)


def assert_only_ports_of_readme(url: httpx.URL, temporary: Path) -> None:
    """The endpoint's own, and Ray's: gRPC on all interfaces, HTTP at the node's address; these need Ray's token."""
    until = time.monotonic() + STARTS_WITHIN
    while not of_agents(temporary) and time.monotonic() < until:
        time.sleep(0.2)  # Ray starts them beside the endpoint, and does not wait for them
    others = listening(processes(temporary))
    others.pop((url.host, url.port or 0))
    assert of_agents(temporary)
    assert {at for at in others if at[0] != "::"} <= of_agents(temporary)
    assert [at for at in others if not refuses_strangers(*at)] == []


def of_agents(temporary: Path) -> set[tuple[str, int]]:
    """The addresses and ports of Ray's HTTP agents."""
    pids = processes(temporary, "ray::DashboardAgent") + processes(temporary, "ray::RuntimeEnvAgent")
    return {(address, port) for address, port in listening(pids) if address != "::"}


def assert_key_in_no_file(temporary: Path) -> None:
    files = [path for path in temporary.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any("serve" in path.parts and path.suffix == ".log" for path in files)
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert not list(temporary.rglob("viral-upload-*"))


def test_it_can_be_stopped_while_it_starts(root: Path, temporary: Path) -> None:
    with started(root, temporary) as process:
        until = time.monotonic() + STARTS_WITHIN
        while not processes(temporary, "ServeController") and time.monotonic() < until:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=ENDS_WITHIN)
        assert process.returncode != 0
    assert out == ""
    assert "Traceback" not in err
    assert_nothing_left(temporary)


def assert_nothing_left(temporary: Path) -> None:
    until = time.monotonic() + 5  # Ray's last processes may still be on their way out
    while processes(temporary) and time.monotonic() < until:
        time.sleep(0.1)
    assert processes(temporary) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (("--model", "none"), {}, "error: there is no model none in "),
        (("--model", "tiny/7"), {}, "error: model tiny has no version 7: there are 1"),
        (("--host", "0.0.0.0"), {}, "error: serving on 0.0.0.0 is open to others: set VIRAL_API_KEY in "),
        (("--host", "::"), {}, "error: serving on :: is open to others: set VIRAL_API_KEY in "),
        (("--host", "0.0.0.0"), {KEY_VARIABLE: "secret"}, "error: VIRAL_API_KEY is shorter than 16 characters"),
        (("--host", "192.0.2.1"), {KEY_VARIABLE: "s" * 16}, "error: cannot serve on 192.0.2.1: "),
        (("--host", "no.host.invalid"), {KEY_VARIABLE: "s" * 16}, "error: cannot serve on no.host.invalid: "),
        (("--keys-file", "/none.json"), {}, "error: cannot read the file of API keys /none.json: No such file"),
        (("--root", "/there/is/nothing"), {}, "error: the root /there/is/nothing does not exist"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    viral_here: Viral, root: Path, arguments: tuple[str, ...], variables: dict[str, str], message: str
) -> None:
    done = viral_here("serve", "--root", root, "--model", "tiny", *arguments, **variables)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr
    assert done.stdout == ""


def test_a_port_that_is_taken_is_one_line(viral_here: Viral, root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = viral_here("serve", "--root", root, "--model", "tiny", "--port", str(port))
    assert done.returncode == 2
    assert done.stderr == f"error: port {port} of 127.0.0.1 is taken: choose another with --port\n"
