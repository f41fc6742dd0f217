"""Simulated hosts: network, process and mount namespaces on a virtual switch, with killable processes and cables.

Needs root. The state is the kernel's: another process finds the hosts of a network by its name.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from cluster.local.quota import limit, unlimit
from viral.errors import ConfigError

_TOOLS = ("ip", "unshare", "nsenter", "mount")
_ENDS_WITHIN = 10.0  # seconds; the kernel kills what runs in a process namespace along with its first process
# The first process of a host. It hides the disks of the other hosts and names this one; as it ignores SIGCHLD, orphans
# leave no zombies. What it gets: folder of all hosts, number of this one, its name.
_FIRST = """
set -e
mount --bind "$1/$2" "$1/d"
mount --bind "$1/hosts" /etc/hosts
[ ! -e /etc/resolv.conf ] || mount --bind "$1/resolv.conf" /etc/resolv.conf
mount -t tmpfs tmpfs /dev/shm
hostname "$3"
echo up
trap '' CHLD
exec sleep infinity
"""


def check_machine() -> None:
    """Check that this machine lets us make hosts.

    Raises:
        ConfigError: we are not root, a program is missing, or namespaces are not allowed.
    """
    if missing := [name for name in _TOOLS if shutil.which(name) is None]:
        raise ConfigError(f"{', '.join(missing)} not found: apt-get install iproute2 util-linux")
    if os.geteuid():
        raise ConfigError("hosts on one machine need network namespaces, which only root may make: use sudo")
    tried = subprocess.run(
        ["unshare", "--net", "--pid", "--uts", "--mount", "--fork", "--mount-proc", "true"],
        capture_output=True,
        text=True,
    )
    if tried.returncode:
        reason = tried.stderr.strip().splitlines()[-1:]
        raise ConfigError(f"this machine allows no namespaces ({''.join(reason)}); in a container: run it privileged")


class Host:
    """A host of a network. It has a disk of its own, which its processes see as `HostNetwork.disk`."""

    def __init__(self, network: HostNetwork, number: int) -> None:
        self.network, self.number = network, number
        self.address = f"{network.subnet}.{number}"
        self.hostname = f"{network.name}-{number}"
        self._namespace, self._plug = f"viral-{network.name}-{number}", f"port{number}"
        self._started: list[subprocess.Popen[bytes]] = []

    def create(self, cores: float | None = None) -> None:
        """Create it, connected to the switch; all of its processes together get so many cores of the machine."""
        (self.network.folder / str(self.number)).mkdir()
        _ip("netns", "add", self._namespace)
        _ip("-n", self._namespace, "link", "set", "lo", "up")
        switch = self.network.switch
        _ip("-n", self._namespace, "link", "add", "eth0", "type", "veth", "peer", "name", self._plug, "netns", switch)
        _ip("-n", self._namespace, "addr", "add", f"{self.address}/24", "dev", "eth0")
        _ip("-n", self._namespace, "link", "set", "eth0", "up")
        # It leads nowhere, but programs that look up their outgoing address get this host's.
        _ip("-n", self._namespace, "route", "add", "default", "dev", "eth0")
        _ip("-n", switch, "link", "set", self._plug, "master", "switch", "up")
        if cores:
            limit(self._namespace, cores)
        first = ["unshare", "--pid", "--uts", "--mount", "--fork", "--kill-child", "--mount-proc"]
        command = ["ip", "netns", "exec", self._namespace, *first, "sh", "-c", _FIRST, "sh"]
        process = subprocess.Popen(
            [*command, str(self.network.folder), str(self.number), self.hostname],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._started.append(process)
        assert process.stdout is not None
        assert process.stderr is not None
        with process.stdout as output, process.stderr as errors:
            if output.readline() != b"up\n":
                raise ConfigError(f"cannot make a host: {errors.read().decode().strip()}")

    def command(self, *command: str) -> list[str]:
        """The command line that runs a command on the host, from this machine."""
        inside = ["nsenter", f"--target={self._first()}", "--net", "--pid", "--uts", "--mount", "--", *command]
        group = limit(self._namespace)
        return ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(group), *inside] if group else inside

    def start(
        self, *command: str, env: Mapping[str, str], output: IO[bytes] | int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start a process on the host; the one that is returned waits for it."""
        process = subprocess.Popen(
            self.command(*command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**env, "TMPDIR": str(self.network.disk)},
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def runs(self) -> bool:
        """Whether its first process runs, without which it starts no other."""
        with suppress(ConfigError):
            return self._first() > 0
        return False

    def processes(self) -> dict[int, str]:
        """Command lines of the processes on the host but its first and the parent of that, by process id."""
        first, lines = self._first(), {}
        kept = {first, int(_status(first, "PPid")[0])}
        for pid in self._pids() - kept:
            with suppress(OSError):
                if line := Path("/proc", str(pid), "cmdline").read_text(errors="replace").replace("\0", " "):
                    lines[pid] = line
        return lines

    def kill(self, named: str = "") -> int:
        """Kill all processes of the host whose command line contains `named`, and return their number."""
        pids = [pid for pid, line in self.processes().items() if named in line]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(pids)

    def remove(self) -> None:
        """End all processes of the host, and delete it with its disk."""
        until = time.monotonic() + _ENDS_WITHIN
        while (pids := self._pids()) and time.monotonic() < until:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        self.reap()
        unlimit(self._namespace)
        _ip("netns", "delete", self._namespace)
        shutil.rmtree(self.network.folder / str(self.number), ignore_errors=True)

    def reap(self) -> None:
        """Wait for the processes that this one has started there; they have ended."""
        for process in self._started:
            process.wait()
        self._started.clear()

    def unplug(self) -> None:
        """Disconnect the host; neither side is notified."""
        _ip("-n", self.network.switch, "link", "set", self._plug, "down")

    def plug(self) -> None:
        """Connect the host again."""
        _ip("-n", self.network.switch, "link", "set", self._plug, "up")

    def _pids(self) -> set[int]:
        return {int(pid) for pid in _ip("netns", "pids", self._namespace).split()}

    def _first(self) -> int:
        """The process id, on this machine, of the first process of the host."""
        for pid in self._pids():
            with suppress(OSError):
                if _status(pid, "NSpid")[1:] == ["1"]:
                    return pid
        raise ConfigError(f"the host {self.hostname} does not run any more")


class HostNetwork:
    """A virtual switch in a namespace of its own, isolated from all other networks.

    Args:
        name: of the network; part of the names of its namespaces.
        folder: for the disks of the hosts; its path is short, since sockets lie below it.
        subnet: first three numbers of its addresses.
    """

    def __init__(self, name: str, folder: Path, subnet: str) -> None:
        self.name, self.folder, self.subnet = name, folder, subnet
        self.switch, self.disk = f"viral-{name}-switch", folder / "d"
        self._hosts: dict[int, Host] = {}

    @property
    def _cable(self) -> str:
        """Name of this machine's end: of at most 15 letters, and no other network's."""
        return f"viral-{zlib.crc32(self.name.encode()):08x}"

    def create(self) -> None:
        """Create the switch; each host knows the others' names."""
        self.disk.mkdir()
        names = [f"{self.subnet}.{number} {self.name}-{number}\n" for number in range(1, 255)]
        (self.folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(names))
        (self.folder / "resolv.conf").write_text("options timeout:1 attempts:1\n")
        _ip("netns", "add", self.switch)
        _ip("-n", self.switch, "link", "add", "switch", "type", "bridge")
        _ip("-n", self.switch, "link", "set", "switch", "up")

    def connect_machine(self) -> None:
        """Give this machine an address in the network, so that its programs reach the hosts."""
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "machine", "netns", self.switch)
        _ip("addr", "add", f"{self.subnet}.254/24", "dev", self._cable)
        _ip("link", "set", self._cable, "up")
        _ip("-n", self.switch, "link", "set", "machine", "master", "switch", "up")

    def host(self, number: int, cores: float | None = None) -> Host:
        """The host with that number, from 1 to 253, created on first use."""
        if number not in self._hosts:
            self._hosts[number] = host = Host(self, number)
            if number not in self.numbers():
                host.create(cores)
        return self._hosts[number]

    def numbers(self) -> list[int]:
        """The numbers of the hosts that exist."""
        prefix = f"viral-{self.name}-"
        names = [name for name in _ip("netns", "list").split() if name.startswith(prefix)]
        return sorted(int(number) for name in names if (number := name.removeprefix(prefix)).isdecimal())

    def remove(self) -> None:
        """End and delete all hosts, and the switch."""
        for number in self.numbers():
            self.host(number).remove()
        for host in self._hosts.values():
            host.reap()  # another process may have removed it
        self._hosts.clear()
        if f" {self._cable}@" in _ip("-o", "link"):  # the kernel would do so a moment after it has deleted the switch
            _ip("link", "delete", self._cable)
        if self.switch in _ip("netns", "list").split():
            _ip("netns", "delete", self.switch)


def free_subnet(name: str) -> str:
    """Return a private subnet in which this machine has no address; of 256, where to begin depends on a name.

    So two that start at the same moment hardly choose the same.
    """
    taken, first = _ip("-o", "addr"), zlib.crc32(name.encode())
    subnets = (f"10.77.{(first + number) % 256}" for number in range(256))
    return next(subnet for subnet in subnets if f" {subnet}." not in taken)


def _status(pid: int, name: str) -> list[str]:
    """A line of what the kernel says of a process, by the line's name."""
    lines = Path("/proc", str(pid), "status").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{name}:")).split()[1:]


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ConfigError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
