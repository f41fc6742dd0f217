"""A Ray head on this machine, with a dashboard and a token, and commands that are sent to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from jobs.runtime.local_ray import LOCAL
from tests.shared_ray import free_port

BIN = Path(sys.executable).parent
TOKEN = "0" * 64
WITHIN = 300.0


@dataclass
class Cluster:
    """A head on this machine that asks for a token, and a folder from which commands are sent."""

    folder: Path
    ray_folder: Path
    port: int = field(default_factory=free_port)
    dashboard: int = field(default_factory=free_port)

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "VIRAL_"))}
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        return {**inherited, **LOCAL, "PATH": path, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.dashboard}"

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def node(self, *options: str, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start a node that runs until it is killed."""
        command = [*before, str(BIN / "ray"), "start", "--block", "--num-cpus=1", "--object-store-memory=100000000"]
        agent = f"--dashboard-agent-listen-port={free_port()}"
        with (self.folder / "nodes.log").open("ab") as log:
            return subprocess.Popen(
                [*command, agent, *options], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def viral(self, *arguments: str, **changed: str | None) -> subprocess.Popen[str]:
        """Start a command in the folder; None removes a variable from its environment."""
        environment = {name: value for name, value in {**self.environment, **changed}.items() if value is not None}
        return subprocess.Popen(
            [str(BIN / "viral"), *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # ignored in a shell's background jobs
        )

    def submit(self, *arguments: str, **changed: str | None) -> subprocess.Popen[str]:
        return self.viral("submit", "--address", self.url, *arguments, **changed)

    def jobs(self) -> list[dict[str, str]]:
        output, _ = self.viral("jobs", "list", "--address", self.url, "--json").communicate(timeout=WITHIN)
        found: list[dict[str, str]] = json.loads(output)
        return found


def kill(node: subprocess.Popen[bytes]) -> None:
    """End a node at once: its processes end with the one that started them."""
    os.killpg(node.pid, signal.SIGKILL)
    node.wait()


def outcome(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=WITHIN)
    return process.returncode, output, errors
