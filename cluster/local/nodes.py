"""Ray nodes, object storage and Redis, each on a simulated host of this machine."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Self

from cluster.local.hosts import HostNetwork, check_machine, free_subnet
from cluster.local.storage import check_programs, make_bucket
from jobs.runtime.local_ray import LOCAL, METRICS_SWITCH, STARTS, TOO_SLOW
from viral.errors import ConfigError

HEAD, STORAGE = 1, 250
"""Numbers of hosts; the other nodes follow the head."""
METRICS = 8080
"""Port of each node, for Prometheus."""
BUCKET = "viral"
_S3, _FAULTY_S3, _REDIS, _RAY, _DASHBOARD = 5000, 5001, 6379, 6379, 8265  # ports
_READY_SECONDS = 120.0  # a node takes ten seconds, more where several start at once on few cores
_POLL_SECONDS = 0.2
_STARTED = b"Ray runtime started"  # Ray 2.60's `ray start` says so
_NO_HEAD = "No node info found for head node"  # its Exception where the head is not known for a moment
_BIN = Path(sys.executable).parent
_LONGEST_FOLDER = 30  # letters: below it Ray makes sockets, whose paths have at most 107
_LONGEST_NAME = 12
_OBJECT_STORE_BYTES = 150_000_000  # of each node; several share this machine's memory
_SHOWN_LETTERS = 200  # of a failed program's output


@dataclass(frozen=True)
class LocalSettings:
    """How a local cluster is started.

    Attributes:
        nodes: number of Ray nodes.
        cores: of this machine, that each node gets; None: no limit.
        faults: one request in so many to the object storage gets a fault; None: none does.
        redis: keep the head's state in a Redis, so that its nodes and jobs survive a restart.
        idle_head: the head runs no tasks, and has no limit on its cores.
    """

    nodes: int = 3
    cores: float | None = None
    faults: int | None = None
    redis: bool = False
    idle_head: bool = False


class LocalCluster:
    """A cluster of this machine by its name. Its files lie in a temporary folder until it is taken down.

    Args:
        name: of the cluster.
        more: variables for the environment of its processes.

    Attributes:
        folder: for the disks of its hosts, logs, and the token.
        network: its hosts.
    """

    def __init__(self, name: str = "default", more: Mapping[str, str] | None = None) -> None:
        if not (name.isascii() and name.isalnum()) or len(name) > _LONGEST_NAME:
            raise ConfigError(f"a cluster's name has at most {_LONGEST_NAME} letters and digits, not {name!r}")
        self.name, self._more = name, dict(more or {})
        temporary = tempfile.gettempdir()
        self.folder = Path(temporary if len(temporary) <= _LONGEST_FOLDER else "/tmp", f"viral-{name}")  # noqa: S108 - 0700
        self._load()

    def _load(self) -> None:
        """Read how it was started, and find its hosts."""
        self._settings: LocalSettings | None = None
        subnet = ""
        with suppress(FileNotFoundError):
            stored = json.loads((self.folder / "settings.json").read_text())
            subnet = stored.pop("subnet")
            self._settings = LocalSettings(**stored)
        self.network = HostNetwork(self.name, self.folder, subnet)

    @property
    def settings(self) -> LocalSettings:
        """The settings that the cluster was started with.

        Raises:
            ConfigError: there is no such cluster.
        """
        if self._settings is None:
            raise ConfigError(f"no cluster named {self.name!r} runs here")
        return self._settings

    @property
    def nodes(self) -> range:
        """Numbers of the hosts that are Ray nodes; the head is the first."""
        return range(HEAD, HEAD + self.settings.nodes)

    @property
    def dashboard(self) -> str:
        """The dashboard's URL, for `viral submit`."""
        return f"http://{self.network.subnet}.{HEAD}:{_DASHBOARD}"

    @property
    def address(self) -> str:
        """The head's address, for jobs on its nodes."""
        return f"{self.network.subnet}.{HEAD}:{_RAY}"

    def up(self, settings: LocalSettings) -> Self:
        """Start it, or what does not run of it.

        Raises:
            ConfigError: this machine does not let us, a program is missing, or a cluster of this name exists with
                other settings.
        """
        check_machine()
        check_programs(redis=settings.redis)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be starting it
            if self._settings is None:
                self._load()  # it may have done so while this one waited
            if self._settings is None:
                self._create(settings)
            elif self._settings != settings:
                raise ConfigError(
                    f"a cluster named {self.name!r} exists with other settings: end it, or --name another"
                )
            self.mend()
        return self

    def _create(self, settings: LocalSettings) -> None:
        try:
            self.network = HostNetwork(self.name, self.folder, free_subnet(self.name))
            self.network.create()
            self.network.connect_machine()
            self._write_secret("token", secrets.token_hex(32))
            self._write_secret("redis-password", secrets.token_hex(16))
            self._settings = settings
            (self.folder / "settings.json").write_text(json.dumps({"subnet": self.network.subnet, **asdict(settings)}))
            exports = (f"export {name}={shlex.quote(value)}\n" for name, value in self.variables().items())
            # What Ray's programs would prefer to the variables.
            self._write_secret("env", "unset RAY_AUTH_TOKEN RAY_ADDRESS\n" + "".join(exports))
            self._give_to_user()
            self._start_storage()
        except BaseException:  # Ctrl-C, too, leaves nothing
            self.down()
            raise

    def _give_to_user(self) -> None:
        """Let whoever called sudo read the token and the variables."""
        if user := os.environ.get("SUDO_UID"):
            for path in (self.folder, self.folder / "token", self.folder / "env"):
                os.chown(path, int(user), -1)

    def mend(self) -> None:
        """Start the nodes that do not run, and wait for them. Without its head's memory, a cluster is a new one."""
        running = {number for number in self.nodes if self._runs(number)}
        if HEAD not in running and not self.settings.redis:
            running = set()
        for number in self.nodes:
            if number not in running:
                cores = None if self.settings.idle_head and number == HEAD else self.settings.cores
                host = self.network.host(number, cores)
                if host.runs():
                    host.kill()
                else:
                    host.remove()
                    host.create(cores)
                self._start_node(number)
        if len(running) < len(self.nodes):
            self._wait()

    def _runs(self, number: int) -> bool:
        needed = ("raylet/raylet", "gcs_server") if number == HEAD else ("raylet/raylet",)
        with suppress(ConfigError, OSError):  # the host has ended, perhaps at this moment
            if number in self.network.numbers():
                lines = self.network.host(number).processes().values()
                return all(any(name in line for line in lines) for name in needed)
        return False

    def down(self) -> None:
        """End all of its processes, and remove its hosts and files.

        Raises:
            ConfigError: there is no such cluster.
        """
        if self._settings is None and not self.folder.exists():
            raise ConfigError(f"no cluster named {self.name!r} runs here")
        self.network.remove()
        shutil.rmtree(self.folder)
        self._settings = None

    def variables(self) -> dict[str, str]:
        """Environment of commands that use the cluster."""
        port = _FAULTY_S3 if self.settings.faults else _S3
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.folder / "token"),
            "RAY_API_SERVER_ADDRESS": self.dashboard,
            "AWS_ENDPOINT_URL": f"http://{self.network.subnet}.{STORAGE}:{port}",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "VIRAL_ROOT": f"s3://{BUCKET}/root",
        }

    def environment(self) -> dict[str, str]:
        """Environment variables of processes on the hosts: those of this process, with S3, Ray and viral set anew."""
        foreign = ("AWS_", "RAY_", "VIRAL_")
        mine = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        path = f"{_BIN}{os.pathsep}{os.environ['PATH']}"
        redis = {"RAY_REDIS_ADDRESS": f"{self.network.subnet}.{STORAGE}:{_REDIS}"} if self.settings.redis else {}
        metrics = {METRICS_SWITCH: "1"}
        return {**mine, **LOCAL, **metrics, **redis, **self.variables(), "PATH": path, **self._more}

    def _start_node(self, number: int) -> None:
        """Start a node, again if Ray gives it up as too slow.

        Nodes start one after the other: Ray gives the helpers of each 15 s, which several at once exceed on few cores.
        """
        last = "it says nothing"
        for _ in range(STARTS):
            with (self.folder / f"node-{number}.log").open("a+b") as log:
                since, until = log.tell(), time.monotonic() + _READY_SECONDS
                process = self._ray_start(number, log)
                while process.poll() is None and time.monotonic() < until:
                    if _STARTED in os.pread(log.fileno(), 1 << 20, since):
                        return
                    time.sleep(_POLL_SECONDS)
                said = os.pread(log.fileno(), 1 << 20, since).decode(errors="replace").strip()
            self.network.host(number).kill()
            last = said.splitlines()[-1] if said else last
            if not any(each in last for each in (TOO_SLOW, _NO_HEAD)):
                break
        raise ConfigError(f"node {number} did not start: {last}")

    def _ray_start(self, number: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
        host = self.network.host(number)
        head = ["--head", f"--port={_RAY}", f"--dashboard-host={host.address}", f"--temp-dir={self.network.disk}"]
        role = head if number == HEAD else [f"--address={self.address}"]
        if number == HEAD and self.settings.redis:
            role.append(f"--redis-password={self._redis_password()}")
        command = [str(_BIN / "ray"), "start", "--block", *role, f"--node-ip-address={host.address}"]
        command.append(f"--num-cpus={0 if number == HEAD and self.settings.idle_head else 1}")
        command += [f"--metrics-export-port={METRICS}", f"--object-store-memory={_OBJECT_STORE_BYTES}"]
        return host.start(*command, env={**self.environment(), "PYTHONUNBUFFERED": "1"}, output=log)

    def _wait(self) -> None:
        """Wait until all nodes have joined."""
        until, said = time.monotonic() + _READY_SECONDS, b"no answer"
        while (left := until - time.monotonic()) > 0:
            command = [sys.executable, "-m", "cluster.local.wait_for_nodes", self.address]
            command += [str(len(self.nodes)), str(left)]
            count = self.network.host(HEAD).start(*command, env=self.environment(), output=subprocess.PIPE)
            said, _ = count.communicate()
            if count.returncode == 0:
                return
        failed = said.decode(errors="replace").strip()[-_SHOWN_LETTERS:]
        raise ConfigError(f"the nodes did not start within {_READY_SECONDS:.0f} s ({failed})")

    def _start_storage(self) -> None:
        host = self.network.host(STORAGE)
        with (self.folder / "storage.log").open("ab") as log:
            server = [str(_BIN / "moto_server"), "-H", host.address, "-p", str(_S3)]
            host.start(*server, env=self.environment(), output=log)
            if faults := self.settings.faults:
                proxy = ["-m", "cluster.local.fault_proxy", f"{host.address}:{_FAULTY_S3}", f"{host.address}:{_S3}"]
                denied = str(self.network.disk / "denied")
                host.start(sys.executable, *proxy, str(faults), denied, env=self.environment(), output=log)
            if self.settings.redis:
                options = f"requirepass {self._redis_password()}\nbind {host.address}\nport {_REDIS}\nsave ''\n"
                self._write_secret("redis.conf", options)
                host.start("redis-server", str(self.folder / "redis.conf"), env=self.environment(), output=log)
        own = self.variables()
        make_bucket(BUCKET, own | {"AWS_ENDPOINT_URL": f"http://{host.address}:{_S3}"})  # not through the proxy

    def _redis_password(self) -> str:
        return (self.folder / "redis-password").read_text()

    def _write_secret(self, name: str, text: str) -> None:
        with os.fdopen(os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
