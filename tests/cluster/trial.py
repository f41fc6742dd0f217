"""A local cluster of a test, a machine of its network from which commands are sent to it, and what watches it."""

from __future__ import annotations

import csv
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from cluster.local.hosts import Host
from cluster.local.nodes import STORAGE, LocalCluster
from tests.cluster.at_storage import POSTS, video_of
from tests.cluster.prometheus import Prometheus

WITHIN = 300.0
CLIENT = STORAGE + 1  # number of a host
BIN = Path(sys.executable).parent


class Trial:
    """A cluster, a machine of its network from which commands are sent to it, and a Prometheus that watches it."""

    prometheus: Prometheus | None = None

    def __init__(self, cluster: LocalCluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.client, self.storage = (cluster.network.host(number) for number in (CLIENT, STORAGE))

    @property
    def nodes(self) -> list[Host]:
        """The hosts that are nodes."""
        return [self.cluster.network.host(number) for number in self.cluster.nodes]

    def viral(self, *command: str, log: str = "other") -> subprocess.Popen[bytes]:
        """Start a command, as its user would; what it says goes to `<log>.log`."""
        with (self.folder / f"{log}.log").open("wb") as output:
            here = ["sh", "-c", 'cd "$0" && exec "$@"', str(self.folder), str(BIN / "viral")]
            return self.client.start(*here, *command, env=self.cluster.environment(), output=output)

    def submit(self, *command: str, options: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Send a command; what it says goes to `<command>.log`."""
        return self.viral("submit", *options, *command, log=command[0])

    def done(self, *command: str) -> str:
        """Send a command and return what it says when it has succeeded."""
        status = self.submit(*command).wait(WITHIN)
        assert status == 0, self.logs()
        return self.said(command[0])

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def backfill(self, shape: str = "fused") -> subprocess.Popen[bytes]:
        """Send one, which is sent again if it fails or its cluster is lost."""
        command = ("backfill", "--feature-set", "set.yaml", "--shape", shape, "--json")
        return self.submit(*command, options=("--retry", "3"))

    def logs(self) -> str:
        """Ends of the logs of commands and nodes."""
        files = [*self.folder.glob("*.log"), *self.cluster.folder.glob("*.log")]
        return "\n".join(path.name + ": " + path.read_text()[-1500:] for path in sorted(files))

    def at_storage(self, what: str, file: Path | None = None) -> Any:
        """Run at_storage.py on the host of the S3 server and return its result."""
        answer = file or self.folder / "answer.pickle"
        command = [sys.executable, str(Path(__file__).with_name("at_storage.py")), what, str(answer)]
        with (self.folder / "storage.log").open("wb") as log:
            process = self.storage.start(*command, env=self.cluster.environment(), output=log)
            assert process.wait(WITHIN) == 0, self.logs()
        return pickle.loads(answer.read_bytes()) if what in ("alone", "table", "losses") else None


def write_posts(file: Path) -> None:
    """Posts by few authors; the last third has broken or missing videos."""
    with file.open("w", newline="") as rows:
        writer = csv.writer(rows)
        writer.writerow(["post_id", "author_id", "caption", "views", "posted_at", "video_uri"])
        for number in range(POSTS):
            day, views = f"2025-01-{number % 28 + 1:02}", 100 + number * 37 % 1000
            writer.writerow([f"post {number}", f"a{number % 20}", f"words {number}", views, day, video_of(number)])


def answers(url: str) -> bool:
    """Whether a request is answered with 200."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
