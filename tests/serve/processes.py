"""The processes of the shared Ray, by what they are called."""

from __future__ import annotations

import os
from pathlib import Path


def find_processes(named: str, below: int | None = None) -> list[int]:
    """The processes below one (this one, and with it the shared Ray) whose command line says so."""
    parents = {int(pid.name): parent_of(pid) for pid in Path("/proc").iterdir() if pid.name.isdigit()}
    found, around = [], {below or os.getpid()}
    while around := {pid for pid, parent in parents.items() if parent in around}:
        found += [pid for pid in around if named.encode() in read(Path(f"/proc/{pid}/cmdline"))]
    return found


def parent_of(process: Path) -> int:
    state = read(process / "stat").rpartition(b")")[2].split()
    return int(state[1]) if state else 0


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""
