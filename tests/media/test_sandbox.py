from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from viral.errors import CrashedError, OutOfMemoryError, TimedOutError, UnreadableError, ViralError
from viral.media.decode import decode
from viral.media.limits import Limits
from viral.media.plan import Plan
from viral.media.requests import AudioTrack, Frames
from viral.media.sandbox import Sandbox

HERE = Path(__file__).parent
PLAN = Plan.of([Frames(count=3, size=(32, 32), choice="key"), AudioTrack(16000)])
NOTHING = Plan.of([])


@pytest.fixture
def misbehaving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.syspath_prepend(str(HERE))
    import misbehaving as module

    with Sandbox(Limits(seconds=1.0, recycle_after=3), function=module.misbehave) as sandbox:
        yield sandbox


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(process: int, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while alive(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(process)


def test_a_child_gives_what_this_process_would(tiktoks: list[str]) -> None:
    here = decode(tiktoks[0], PLAN, Limits())
    with Sandbox(Limits()) as sandbox:
        there = sandbox.decode(tiktoks[0], PLAN)
    assert there.facts == here.facts
    for request in PLAN.requests:
        ours, theirs = here.tracks[request], there.tracks[request]
        for name in vars(ours):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_files_are_decoded_at_the_same_time(tiktoks: list[str], find: object) -> None:
    with Sandbox(Limits(), workers=2) as sandbox:
        futures = [sandbox.submit(path, PLAN) for path in tiktoks[:4]]
        hashes = [future.result().facts.sha256 for future in futures]
    assert len(set(hashes)) == 4


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("segfault", CrashedError, "SIGSEGV"),
        ("exit", CrashedError, "exit status 7"),
        ("hang", TimedOutError, "sandbox.seconds = 1"),
        ("stutter", TimedOutError, "sandbox.seconds = 1"),
        ("nonsense", CrashedError, "nonsense: UnpicklingError"),
        ("eat", OutOfMemoryError, "memory"),
        ("bad_alloc", OutOfMemoryError, "bad_alloc"),
        ("raise", CrashedError, "a fault of our own"),
    ],
)
def test_a_bad_file_costs_itself_alone(misbehaving: Sandbox, name: str, error: type[Exception], message: str) -> None:
    before = misbehaving.decode("fine", NOTHING).facts.bytes
    with pytest.raises(error, match=message):
        misbehaving.decode(name, NOTHING)
    after = misbehaving.decode("fine", NOTHING).facts.bytes
    assert before != after
    assert before is not None and gone(before)


def test_the_limit_holds_for_real_decoders(tiktoks: list[str]) -> None:
    plan = Plan.of([Frames(every=0.1, size=(512, 512))])
    with Sandbox(Limits(memory_bytes=40 << 20)) as sandbox, pytest.raises((OutOfMemoryError, CrashedError)):
        sandbox.decode(tiktoks[-1], plan)


def test_children_are_replaced_after_so_many_files(misbehaving: Sandbox) -> None:
    processes = [misbehaving.decode("fine", NOTHING).facts.bytes for _ in range(7)]
    assert [processes.index(process) for process in processes] == [0, 0, 0, 3, 3, 3, 6]


def test_a_bad_file_keeps_the_child(tmp_path: Path, tiktoks: list[str]) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"\0" * 100)
    with Sandbox(Limits()) as sandbox:
        with pytest.raises(UnreadableError):
            sandbox.decode(str(tmp_path / "bad.mp4"), PLAN)
        child = next(iter(sandbox._children))
        sandbox.decode(tiktoks[0], PLAN)
        assert set(sandbox._children) == {child}


def test_children_import_no_more_than_decoding_needs(misbehaving: Sandbox) -> None:
    import torch  # noqa: F401 - as in a Ray worker: what the parent has loaded must not matter

    loaded = set(str(misbehaving.decode("modules", NOTHING).facts.container).split())
    assert {"av", "decord", "numpy", "viral.media.decode"} <= loaded
    assert not {"ray", "torch", "transformers", "pandas", "pytest", "cv2", "pyarrow", "sklearn"} & loaded


def test_an_answer_cannot_run_code_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.chdir(tmp_path)
    import misbehaving as module

    with Sandbox(Limits(), function=module.answer_with_code) as sandbox, pytest.raises(CrashedError, match="system"):
        sandbox.decode("any", NOTHING)
    assert not (tmp_path / "taken_over").exists()


def test_closing_ends_what_runs(misbehaving: Sandbox) -> None:
    first = misbehaving.decode("fine", NOTHING).facts.bytes
    running = misbehaving.submit("hang", NOTHING)
    waiting = misbehaving.submit("fine", NOTHING)
    time.sleep(0.2)
    misbehaving.close()
    assert isinstance(running.exception(), CrashedError)
    assert waiting.cancelled()
    assert first is not None and not alive(first)


def test_no_child_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Sandbox(Limits()) as sandbox, pytest.raises(ViralError, match="does not start"):
        sandbox.decode("any", NOTHING)


def test_a_sandbox_needs_a_worker() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Sandbox(Limits(), workers=0)


PARENT = """
import sys, time
from viral.media.limits import Limits
from viral.media.plan import Plan
from viral.media.sandbox import Sandbox
from misbehaving import misbehave
sandbox = Sandbox(Limits(), workers=2, function=misbehave)
print(sandbox.decode("fine", Plan.of([])).facts.bytes, flush=True)
sandbox.submit("hang", Plan.of([]))
sandbox.submit("hang", Plan.of([]))
time.sleep(60)
"""


def test_children_die_with_a_parent_that_is_killed() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent.parent)])}
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        int(parent.stdout.readline())
        deadline = time.monotonic() + 20
        while len(children := offspring(parent.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert len(children) == 2
    assert all(gone(child) for child in children)


def offspring(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def test_a_child_knows_no_secrets(misbehaving: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "VIRAL_API_KEY", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "secret")
    names = (misbehaving.decode("environment", NOTHING).facts.container or "").split()
    assert "PATH" in names
    assert not [name for name in names if name.startswith(("AWS_", "VIRAL_", "RAY_"))]
