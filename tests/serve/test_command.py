"""`viral serve` as its user starts and ends it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from serve.keys import KEY_VARIABLE
from tests.serve.ports import listening, refuses_strangers

KEY = "correct-horse-battery-staple"
VIRAL = str(Path(sys.executable).with_name("viral"))
STARTS_WITHIN, ENDS_WITHIN = 240.0, 45.0  # seconds


def command(root: Path, *arguments: str) -> list[str]:
    return [VIRAL, "serve", "--root", str(root), "--model", "tiny", *arguments]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIRAL_", "RAY_"))}
    return {**kept, **more}


@contextmanager
def started(root: Path, temporary: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """`viral serve` in a process group of its own, as in a terminal; killed if the test fails."""
    process = subprocess.Popen(
        command(root, "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(TMPDIR=str(temporary), PYTHONUNBUFFERED="1", **variables),
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # ignored in a shell's background jobs
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(
    root: Path, clip: Path, temporary: Path, processes: Callable[..., list[int]], end: signal.Signals
) -> None:
    with started(root, temporary) as process:
        assert process.stdout
        message = process.stdout.readline()
        assert message.startswith("serving tiny/1 at http://127.0.0.1:"), process.communicate()
        url = message.split()[3]
        reply = httpx.post(f"{url}/v1/score", files={"file": clip.read_bytes()}, timeout=30, trust_env=False)
        assert reply.status_code == 200
        if end == signal.SIGINT:
            os.killpg(process.pid, end)  # as Ctrl-C in a terminal: to all processes of the group
        else:
            process.send_signal(end)
        out, err = process.communicate(timeout=ENDS_WITHIN)
        assert process.returncode == 0
    assert out == ""
    assert err == ""
    assert_nothing_left(temporary, processes)


def test_what_is_asked_before_the_end_is_answered(
    root: Path, clip: Path, temporary: Path, processes: Callable[..., list[int]]
) -> None:
    """Also a slow request; a new one is refused in the meantime. The key in the environment is needed."""
    with (
        started(root, temporary, **{KEY_VARIABLE: KEY}) as process,
        ThreadPoolExecutor(1) as pool,
        httpx.Client(timeout=60, trust_env=False, headers={"Authorization": f"Bearer {KEY}"}) as client,
    ):
        assert process.stdout
        url = process.stdout.readline().split()[3]
        assert httpx.get(f"{url}/v1/models", trust_env=False).status_code == 401
        client.post(f"{url}/v1/score", files={"file": clip.read_bytes()})
        assert_only_ports_of_readme(httpx.URL(url), processes())
        (decoder,) = processes(b"viral.media.child")
        os.kill(decoder, signal.SIGSTOP)
        content = clip.read_bytes() + b"another"
        slow = pool.submit(client.post, f"{url}/v1/score", files={"file": content})
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        late = client.post(f"{url}/v1/score", json={"caption": "a"})
        assert (late.status_code, late.json()["reason"]) == (503, "draining")
        assert not slow.done()
        os.kill(decoder, signal.SIGCONT)
        assert slow.result().status_code == 200
        _, err = process.communicate(timeout=ENDS_WITHIN)
        assert process.returncode == 0
    assert err == ""
    assert_nothing_left(temporary, processes)


def test_it_can_be_stopped_while_it_starts(root: Path, temporary: Path, processes: Callable[..., list[int]]) -> None:
    with started(root, temporary) as process:
        until = time.monotonic() + STARTS_WITHIN
        while not processes(b"ServeController") and time.monotonic() < until:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=ENDS_WITHIN)
        assert process.returncode != 0
    assert out == ""
    assert "Traceback" not in err
    assert_nothing_left(temporary, processes)


def assert_only_ports_of_readme(url: httpx.URL, pids: list[int]) -> None:
    """The endpoint's own, and the gRPC ports of Ray's processes on all interfaces, which need Ray's token."""
    others = listening(pids)
    others.pop((url.host, url.port or 0))
    assert {address for address, _ in others} == {"::"}
    assert [port for _, port in others if not refuses_strangers(port)] == []


def assert_nothing_left(temporary: Path, processes: Callable[..., list[int]]) -> None:
    until = time.monotonic() + 5  # Ray's last processes may still be on their way out
    while processes() and time.monotonic() < until:
        time.sleep(0.1)
    assert processes() == []
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
    root: Path, arguments: tuple[str, ...], variables: dict[str, str], message: str
) -> None:
    done = subprocess.run(
        command(root, *arguments),
        capture_output=True,
        text=True,
        env=environment(**variables),
        timeout=240,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr
    assert done.stdout == ""


def test_a_port_that_is_taken_is_one_line(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            command(root, "--port", str(port)),
            capture_output=True,
            text=True,
            env=environment(),
            timeout=240,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == f"error: port {port} of 127.0.0.1 is taken: choose another with --port\n"
