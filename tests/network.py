"""Simulated hosts on one machine: network namespaces on a virtual switch, with killable processes and cables."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

SUBNET = "10.77.0"


class Host:
    """A network namespace with a cable to the switch."""

    def __init__(self, network: str, number: int) -> None:
        self.address, self._name, self._switch, self._port = (
            f"{SUBNET}.{number}",
            f"{network}-{number}",
            network,
            number,
        )
        self._started: list[subprocess.Popen[bytes]] = []
        _ip("netns", "add", self._name)
        _ip("-n", self._name, "link", "set", "lo", "up")
        _ip("-n", self._name, "link", "add", "eth0", "type", "veth", "peer", "name", self._plug, "netns", network)
        _ip("-n", self._name, "addr", "add", f"{self.address}/24", "dev", "eth0")
        _ip("-n", self._name, "link", "set", "eth0", "up")
        # It leads nowhere, but programs that look up their outgoing address get this host's.
        _ip("-n", self._name, "route", "add", "default", "dev", "eth0")
        _ip("-n", network, "link", "set", self._plug, "master", "switch", "up")

    @property
    def _plug(self) -> str:
        return f"port{self._port}"

    def start(
        self, *command: str, env: Mapping[str, str], output: IO[bytes] | int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start a process on the host; its id is that of the command itself."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self._name, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
        )
        self._started.append(process)
        return process

    def processes(self) -> dict[int, str]:
        """Command lines of the processes on the host, by process id."""
        lines = {}
        for pid in _ip("netns", "pids", self._name).split():
            with suppress(OSError):
                lines[int(pid)] = Path("/proc", pid, "cmdline").read_text().replace("\0", " ")
        return lines

    def kill(self, named: str = "") -> int:
        """Kill all processes of the host whose command line contains `named`, and return their number."""
        pids = [pid for pid, line in self.processes().items() if named in line]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(pids)

    def remove(self) -> None:
        """Kill all processes of the host, and delete it."""
        self.kill()
        for process in self._started:
            process.wait()
        _ip("netns", "delete", self._name)

    def unplug(self) -> None:
        """Disconnect the host; neither side is notified."""
        _ip("-n", self._switch, "link", "set", self._plug, "down")

    def plug(self) -> None:
        """Connect the host again."""
        _ip("-n", self._switch, "link", "set", self._plug, "up")


class Network:
    """A virtual switch in its own namespace, isolated from all other networks."""

    def __init__(self) -> None:
        self.name = f"viral{os.getpid()}"
        self.hosts: dict[int, Host] = {}

    def __enter__(self) -> Self:
        _ip("netns", "add", self.name)
        _ip("-n", self.name, "link", "add", "switch", "type", "bridge")
        _ip("-n", self.name, "link", "set", "switch", "up")
        return self

    def host(self, number: int) -> Host:
        """The host with that number, created on first use."""
        if number not in self.hosts:
            self.hosts[number] = Host(self.name, number)
        return self.hosts[number]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in self.hosts.values():
            host.remove()
        _ip("netns", "delete", self.name)


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
