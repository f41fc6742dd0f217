from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from viral.errors import CrashedError, OutOfMemoryError, TimedOutError, UnreadableError, ViralError
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.plan import SamplingPlan
from viral.media.requests import AudioTrack, Frames
from viral.media.sandbox import CHILD_ENVIRONMENT, Sandbox

HERE = Path(__file__).parent
PLAN = SamplingPlan.from_requests([Frames(count=3, size=(32, 32), choice="key"), AudioTrack(16000)])
NOTHING = SamplingPlan.from_requests([])


@pytest.fixture
def misbehaving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.syspath_prepend(str(HERE))
    import misbehaving as module

    with Sandbox(MediaLimits(seconds=1.0, recycle_after=3), function=module.misbehave) as sandbox:
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


def test_a_child_gives_what_this_process_would(paths: list[str]) -> None:
    with Sandbox(MediaLimits()) as sandbox:
        for path in paths[:2]:
            expected, media = decode(path, PLAN, MediaLimits()), sandbox.decode(path, PLAN)
            assert media.facts == expected.facts
            for request in PLAN.requests:
                for name, array in vars(expected.tracks[request]).items():
                    np.testing.assert_array_equal(array, getattr(media.tracks[request], name))


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("segfault", CrashedError, "SIGSEGV"),
        ("exit", CrashedError, "exit status 7"),
        ("hang", TimedOutError, "sandbox.seconds = 1"),
        ("stutter", TimedOutError, "sandbox.seconds = 1"),
        ("nonsense", CrashedError, "malformed: UnpicklingError"),
        ("eat", OutOfMemoryError, "memory"),
        ("bad_alloc", OutOfMemoryError, "bad_alloc"),
        ("raise", CrashedError, "a fault of our own"),
        ("huge", CrashedError, "announced a reply of"),
    ],
)
def test_a_bad_file_costs_itself_alone(misbehaving: Sandbox, name: str, error: type[Exception], message: str) -> None:
    before = misbehaving.decode("fine", NOTHING).facts.bytes
    with pytest.raises(error, match=message):
        misbehaving.decode(name, NOTHING)
    after = misbehaving.decode("fine", NOTHING).facts.bytes
    assert before != after
    assert before is not None and gone(before)


def test_the_limit_holds_for_real_decoders(paths: list[str]) -> None:
    plan = SamplingPlan.from_requests([Frames(every=0.1, size=(512, 512))])
    with Sandbox(MediaLimits(memory_bytes=40 << 20)) as sandbox, pytest.raises((OutOfMemoryError, CrashedError)):
        sandbox.decode(paths[-1], plan)


def test_children_are_replaced_after_recycle_after_files(misbehaving: Sandbox) -> None:
    processes = [misbehaving.decode("fine", NOTHING).facts.bytes for _ in range(7)]
    assert [processes.index(process) for process in processes] == [0, 0, 0, 3, 3, 3, 6]


def test_a_bad_file_keeps_the_child(tmp_path: Path, paths: list[str]) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"\0" * 100)
    with Sandbox(MediaLimits()) as sandbox:
        with pytest.raises(UnreadableError):
            sandbox.decode(str(tmp_path / "bad.mp4"), PLAN)
        child = sandbox._child
        sandbox.decode(paths[0], PLAN)
        assert sandbox._child is child


def test_children_import_no_more_than_decoding_needs(misbehaving: Sandbox) -> None:
    import torch  # noqa: F401 - as in a Ray worker: what the parent has loaded must not matter

    loaded = set(str(misbehaving.decode("modules", NOTHING).facts.container).split())
    assert {"av", "decord", "numpy", "viral.media.decode"} <= loaded
    assert not {"ray", "torch", "transformers", "pandas", "pytest", "cv2", "pyarrow", "sklearn"} & loaded


def test_an_answer_cannot_run_code_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.chdir(tmp_path)
    import misbehaving as module

    with (
        Sandbox(MediaLimits(), function=module.answer_with_code) as sandbox,
        pytest.raises(CrashedError, match="system"),
    ):
        sandbox.decode("any", NOTHING)
    assert not (tmp_path / "taken_over").exists()


def test_killing_ends_a_decode_in_another_thread(misbehaving: Sandbox) -> None:
    with ThreadPoolExecutor(1) as threads:
        process = threads.submit(misbehaving.decode, "fine", NOTHING).result().facts.bytes
        running = threads.submit(misbehaving.decode, "hang", NOTHING)
        time.sleep(0.2)
        misbehaving.kill()
        assert isinstance(running.exception(), CrashedError)
        assert process is not None and not alive(process)
        with pytest.raises(ViralError, match="does not start"):
            misbehaving.decode("fine", NOTHING)


def test_a_child_that_dies_between_files_is_replaced(misbehaving: Sandbox) -> None:
    process = misbehaving.decode("fine", NOTHING).facts.bytes
    assert process is not None
    os.kill(process, signal.SIGKILL)
    assert gone(process)
    assert misbehaving.decode("fine", NOTHING).facts.bytes != process


def test_no_child_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Sandbox(MediaLimits()) as sandbox, pytest.raises(ViralError, match="does not start"):
        sandbox.decode("any", NOTHING)


PARENT = """
from viral.media.limits import MediaLimits
from viral.media.plan import SamplingPlan
from viral.media.sandbox import Sandbox
from misbehaving import misbehave
sandbox = Sandbox(MediaLimits(), function=misbehave)
print(sandbox.decode("fine", SamplingPlan(())).facts.bytes, flush=True)
sandbox.decode("hang", SamplingPlan(()))
"""


def test_a_child_dies_with_a_parent_that_is_killed() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent.parent)])}
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.2)  # it hangs
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert gone(child)


def test_a_child_inherits_no_secrets(misbehaving: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "VIRAL_API_KEY", "RAY_AUTH_TOKEN", "HF_TOKEN", "DATABASE_URL"):
        monkeypatch.setenv(name, "secret")
    names = set((misbehaving.decode("environment", NOTHING).facts.container or "").split())
    assert "PATH" in names
    # Python itself sets LC_CTYPE where the locale is C.
    assert names <= {*CHILD_ENVIRONMENT, "PYTHONPATH", "MALLOC_ARENA_MAX", "OMP_NUM_THREADS", "LC_CTYPE"}
