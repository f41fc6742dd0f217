"""Signs of life in a root, and a lock: of the runs that must not overlap, one works and the others wait."""

from __future__ import annotations

import json
import os
import random
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from viral.errors import StorageError
from viral.storage.store import Store, read_json

FOLDER = "locks"
HEARTBEAT_SECONDS = 5.0  # each is one small write
SILENCE_SECONDS = 60.0  # 12 missed heartbeats: the owner was killed, or its machine is gone
POLL_SECONDS = (0.5, 1.5)  # random, so that two that gave way to each other do not do so again


@contextmanager
def exclusive(store: Store, name: str) -> Iterator[None]:
    """Hold the lock `name` of a root during the block; wait while another process holds it.

    Each process announces itself by an object of its own, then lists the announcements: of two that come at once, at
    least one sees the other and withdraws.
    """
    folder, reported = f"{FOLDER}/{name}", False
    while True:
        with announced(store, f"{folder}/{uuid.uuid4().hex}.json") as key:
            # Announce first, list afterwards: the other way round, two that come at once would not see each other.
            if not (others := _owners(store, folder, without=key)):
                yield
                return
        if not reported:
            owner = f"process {others[0]['pid']} of {others[0]['host']}"
            print(f"waiting: {owner} does the same on this root", file=sys.stderr)  # noqa: T201 - for the user
            reported = True
        time.sleep(random.uniform(*POLL_SECONDS))  # noqa: S311 - no secret


@contextmanager
def announced(store: Store, key: str) -> Iterator[str]:
    """Say at `key` that this process is alive, until the end of the block; yield the key."""
    store.write(key, _announcement())
    ended = Event()
    heartbeat = Thread(target=_heartbeat, args=(store, key, ended), name="lock", daemon=True)
    heartbeat.start()
    try:
        yield key
    finally:
        ended.set()
        heartbeat.join()
        with suppress(StorageError):  # it is recognised as left behind
            store.delete([key])


def is_alive(owner: dict[str, Any], silence: float = SILENCE_SECONDS) -> bool:
    """Whether the process that announced itself lives; on other machines, whether it was heard of in `silence` s."""
    here = _process(os.getpid())
    # Of the same machine and container, the kernel knows; the start time tells a process from a later one with its id.
    if (owner["boot"], owner["pids"]) == (here["boot"], here["pids"]):
        return _process(owner["pid"]) == {name: owner[name] for name in here}
    return bool(time.time() - owner["at"] < silence)


def _heartbeat(store: Store, key: str, ended: Event) -> None:
    while not ended.wait(HEARTBEAT_SECONDS):
        with suppress(StorageError):  # the next one may succeed
            store.write(key, _announcement())


def _announcement() -> bytes:
    return json.dumps(
        {**_process(os.getpid()), "pid": os.getpid(), "host": os.uname().nodename, "at": time.time()}
    ).encode()


def _owners(store: Store, prefix: str, without: str) -> list[dict[str, Any]]:
    """Read the announcements of live processes; delete those of dead ones."""
    owners = []
    for info in store.objects(prefix):
        owner = read_json(store, info.key) if info.key != without else None
        if owner and is_alive(owner):
            owners.append(owner)
        elif owner:
            store.delete([info.key])
    return owners


def _process(pid: int) -> dict[str, Any]:
    """Identify a process of this machine: boot, namespace of process ids, and start time (None if it is dead)."""
    try:
        started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])  # field 22 of proc(5)
    except OSError:
        started = None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {"boot": boot, "pids": str(Path("/proc/self/ns/pid").readlink()), "started": started}
