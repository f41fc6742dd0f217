"""Ingest, plan, stop and resume of a large backfill, by `viral submit` on a local cluster, as root.

`sudo python tests/bench/million.py --posts 1000000 --left 0.05`. The posts are texts, and the feature set has no
network: what is measured is the pipeline. Of all but a share of `--left` this script writes the rows; the backfill of
the rest is stopped half-way, and sent again. `driver` is the largest memory of the process that runs the command on the
head.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from scale import SET, fill, scrape

from cluster.local.nodes import HEAD, LocalCluster, LocalSettings
from cluster.submitting import entry
from tests.cluster.trial import CLIENT
from viral.storage.store import Store
from viral.tables.run_log import runs

FILES = 8  # of the scrape
VIRAL = str(Path(sys.executable).with_name("viral"))


class Sender:
    """Sends commands from a host that is no node, and looks at their drivers on the head."""

    def __init__(self, cluster: LocalCluster, store: Store, folder: Path) -> None:
        self.cluster, self.store, self.folder = cluster, store, folder
        self.head, self.client = (cluster.network.host(number) for number in (HEAD, CLIENT))

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("wb") as log:
            here = ["sh", "-c", 'cd "$0" && exec "$@"', str(self.folder), VIRAL]
            return self.client.start(*here, *command, env=self.cluster.environment(), output=log)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def run(self, name: str, *command: str, stop_at: float | None = None) -> str:
        """Send a command; stop its job when it has done so large a share."""
        began, peak, sent = time.monotonic(), 0.0, self.start("submit", *command)
        while sent.poll() is None:
            peak = max(peak, self.driver_megabytes())
            if stop_at is not None and (job := self.job_that_did(stop_at)):
                stop_at = None
                self.client.start(VIRAL, "jobs", "stop", job, env=self.cluster.environment()).wait()
            time.sleep(1)
        line = self.log().strip().splitlines()[-1]
        print(f"{name:24}{time.monotonic() - began:8.1f} s  driver {peak:6.0f} MB  {line[:150]}", flush=True)
        return line

    def driver_megabytes(self) -> float:
        """Largest memory so far of the driver that runs now."""
        found = [0.0]
        for pid, line in self.head.processes().items():
            if entry.__name__ in line and "job_supervisor" not in line:
                with suppress(OSError, StopIteration):
                    status = Path("/proc", str(pid), "status").read_text().splitlines()
                    found.append(int(next(each for each in status if each.startswith("VmHWM")).split()[1]) / 1000)
        return max(found)

    def job_that_did(self, share: float) -> str | None:
        """The id of the job that runs, if it has done so large a share by its record in the root."""
        done, total = progress(self.store)
        if not total or done < share * total:
            return None
        return next(line.split()[1] for line in self.log().splitlines() if line.startswith("submitted "))


def progress(store: Store) -> tuple[int, int]:
    """Posts done and in all of the backfill that runs."""
    running = [run for run in runs(store, 5) if run.command == "backfill" and run.state == "running"]
    return (running[-1].done, running[-1].total) if running else (0, 0)


def write_scrape(store: Store, folder: Path, count: int) -> None:
    """Write the scrape to the object storage, as texts without videos."""
    for number in range(FILES):
        path = folder / f"{number}.jsonl"
        scrape(path, count // FILES, number * (count // FILES))
        store.upload(path, f"scraped/{path.name}")
        path.unlink()


def measure(count: int, left: float, nodes: int) -> None:
    cluster = LocalCluster("million").up(LocalSettings(nodes))
    try:
        with tempfile.TemporaryDirectory() as name:
            folder, root = Path(name), cluster.variables()["VIRAL_ROOT"]
            os.environ.update({key: value for key, value in cluster.variables().items() if key.startswith("AWS_")})
            store = Store.open(root)
            (folder / "set.yaml").write_text(json.dumps(SET.to_dict()))
            sender, backfill = Sender(cluster, store, folder), ("backfill", "--feature-set", "set.yaml", "--json")
            write_scrape(store, folder, count)
            sender.run("ingest", "ingest", "tiktok_api", f"{root}/scraped/", "--json")
            fill(store, left)
            sender.run("backfill, stopped", *backfill, stop_at=0.5)
            sender.run("backfill, resumed", *backfill)
            sender.run("backfill, nothing to do", *backfill)
            sender.run("plan", "plan", "--feature-set", "set.yaml", "--posts", str(count), "--hours", "1", "--json")
    finally:
        cluster.down()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--left", type=float, default=0.05)
    parser.add_argument("--nodes", type=int, default=3)
    given = parser.parse_args()
    measure(given.posts, given.left, given.nodes)


if __name__ == "__main__":
    main()
