"""The lock in a root: one works, the others wait, and a dead owner holds nobody up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from viral.storage import lock
from viral.storage.lock import SILENCE_SECONDS, exclusive
from viral.storage.store import Store

OWNER = """
import sys, time
from viral.storage.lock import exclusive
from viral.storage.store import Store
with exclusive(Store(sys.argv[1]), "job"):
    print("mine", flush=True)
    time.sleep(600)
"""


def test_one_at_a_time(any_store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(lock, "POLL_SECONDS", (0.01, 0.05))
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        with exclusive(any_store, "job"):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.05)
            inside.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert most == [1] * 8
    assert list(any_store.objects("")) == []
    assert f"process {os.getpid()} of" in capsys.readouterr().err


def test_other_names_are_other_locks(any_store: Store) -> None:
    with exclusive(any_store, "one"), exclusive(any_store, "other"):
        assert len(list(any_store.objects("locks"))) == 2


def test_a_killed_owner_on_this_machine_holds_nobody_up(tmp_path: Path) -> None:
    store = Store(tmp_path)
    owner = subprocess.Popen([sys.executable, "-c", OWNER, store.root], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "mine\n"
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert len(list(store.objects("locks"))) == 1
    started = time.monotonic()
    with exclusive(store, "job"):
        assert time.monotonic() - started < SILENCE_SECONDS / 2
    assert list(store.objects("")) == []


@pytest.mark.parametrize(("silence", "held"), [(SILENCE_SECONDS - 20, True), (SILENCE_SECONDS + 1, False)])
def test_an_owner_elsewhere_is_dead_when_it_is_silent(any_store: Store, silence: float, held: bool) -> None:
    owner = {"boot": "another", "pids": "pid:[1]", "started": 1, "pid": 1, "host": "far", "at": time.time() - silence}
    any_store.write("locks/job/far.json", json.dumps(owner).encode())
    assert bool(lock._owners(any_store, "locks/job", without="locks/job/me.json")) is held
    assert any_store.exists("locks/job/far.json") is held


def test_a_process_id_that_another_process_has_now(any_store: Store) -> None:
    owner = {**lock._process(os.getpid()), "pid": os.getpid(), "host": "here", "at": time.time()}
    any_store.write("locks/job/a.json", json.dumps({**owner, "started": 1}).encode())
    assert lock._owners(any_store, "locks/job", without="") == []
    any_store.write("locks/job/a.json", json.dumps(owner).encode())
    assert lock._owners(any_store, "locks/job", without="") == [owner]


def test_a_heartbeat(any_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.05)
    with exclusive(any_store, "job"):
        (info,) = any_store.objects("locks")
        first = json.loads(any_store.read(info.key))["at"]
        until = time.monotonic() + 10
        while json.loads(any_store.read(info.key))["at"] == first and time.monotonic() < until:
            time.sleep(0.02)
        assert json.loads(any_store.read(info.key))["at"] > first
