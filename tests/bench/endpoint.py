"""An endpoint as a process of its own, and clients that load it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

BIN = Path(sys.executable).parent
QUIET_SECONDS = 20.0  # of each measurement of latencies


@dataclass
class Endpoint:
    """A running endpoint."""

    url: str
    root: Path
    model: str
    pid: int  # of the process below which all others are
    videos: list[Path] = field(default_factory=list)

    @property
    def http(self) -> httpx.Client:
        """A client that waits long."""
        return httpx.Client(base_url=self.url, timeout=130, trust_env=False)


@contextmanager
def serving(root: Path | str, model: str) -> Iterator[Endpoint]:
    """Run `viral serve` on the root; its videos are listed if it is a folder."""
    command = [BIN / "viral", "serve", "--root", str(root), "--model", model, "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("VIRAL_", "RAY_"))}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment | {"PYTHONUNBUFFERED": "1"}, start_new_session=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().partition(" at ")[2].split()[0]
        # Whoever writes into a full pipe waits.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield Endpoint(url, Path(root), model, process.pid, sorted((Path(root) / "videos").glob("*.mp4")))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            print("stopped with", process.wait(120))
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def latencies(seconds: Iterable[float]) -> str:
    """Describe response times."""
    p50, p99 = np.percentile([*seconds] or [np.nan], [50, 99]) * 1000
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"


class Clients:
    """Threads that send captions (two) or uploads (one) until they are stopped, twenty a second at most each."""

    def __init__(self, endpoint: Endpoint, what: str) -> None:
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []
        self.bad: list[float] = []  # times of answers that are neither 200 nor 429
        self._endpoint, self._what, self._stopped = endpoint, what, threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(2 if what == "captions" else 1)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        video, number = self._endpoint.videos[0].read_bytes(), 0
        with self._endpoint.http as http:
            while not self._stopped.wait(0.05):
                number += 1
                started = time.monotonic()
                try:
                    if self._what == "captions":
                        status = http.post("/v1/score", json={"caption": f"words {number}"}).status_code
                    else:
                        status = http.post("/v1/score", files={"file": video + os.urandom(8)}).status_code
                except httpx.HTTPError:
                    status = 0
                self.statuses[status] += 1
                if status == 200:
                    self.seconds.append(time.monotonic() - started)
                elif status != 429:
                    self.bad.append(time.monotonic())

    def __str__(self) -> str:
        return f"{dict(self.statuses)}, {latencies(self.seconds)}"


def measured(endpoint: Endpoint, what: str, seconds: float = QUIET_SECONDS) -> Clients:
    """Send captions or uploads for some seconds."""
    with Clients(endpoint, what) as clients:
        time.sleep(seconds)
    return clients
