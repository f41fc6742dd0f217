"""Clients that measure an endpoint, and what its processes take."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from tests.serve.processes import find_processes


@dataclass
class Outcome:
    """What a load gave: requests by status, and the seconds of those answered with 200."""

    statuses: dict[int, int]
    seconds: list[float]
    wall: float

    @property
    def rate(self) -> float:
        """Answers with 200 per second."""
        return self.statuses.get(200, 0) / self.wall

    def row(self) -> str:
        """Return the figures for a table."""
        p50, p99 = np.percentile(self.seconds or [np.nan], [50, 99]) * 1000
        others = {status: number for status, number in self.statuses.items() if status != 200}
        return f"{self.rate:9.1f}/s  p50 {p50:7.1f} ms  p99 {p99:7.1f} ms  {others or ''}"


@dataclass
class Load:
    """A request, sent again and again; `payloads` in turn."""

    url: str
    payloads: Sequence[dict[str, Any]]

    def closed(self, clients: int, seconds: float) -> Outcome:
        """Send from `clients` connections, each as soon as it is answered."""
        return asyncio.run(self._closed(clients, seconds))

    def open(self, rate: float, seconds: float) -> Outcome:
        """Send `rate` requests per second, whatever is answered."""
        return asyncio.run(self._open(rate, seconds))

    async def _closed(self, clients: int, seconds: float) -> Outcome:
        until, numbers = time.perf_counter() + seconds, count()
        outcome = Outcome(Counter(), [], seconds)
        async with self._session() as http:

            async def client() -> None:
                while time.perf_counter() < until:
                    await self._send(http, next(numbers), outcome)

            await asyncio.gather(*(client() for _ in range(clients)))
        return outcome

    async def _open(self, rate: float, seconds: float) -> Outcome:
        outcome, tasks, started = Outcome(Counter(), [], seconds), [], time.perf_counter()
        async with self._session() as http:
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
                tasks.append(asyncio.create_task(self._send(http, number, outcome)))
            await asyncio.gather(*tasks)
        outcome.wall = time.perf_counter() - started
        return outcome

    def _session(self) -> Any:
        import aiohttp

        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(120))

    async def _send(self, http: Any, number: int, outcome: Outcome) -> None:
        import aiohttp

        payload = dict(self.payloads[number % len(self.payloads)])
        if "file" in payload:
            form = aiohttp.FormData()
            # Each upload is another file, so that no vectors are known from before.
            form.add_field("file", Path(payload.pop("file")).read_bytes() + str(number).encode(), filename="a.mp4")
            payload["data"] = form
        started = time.perf_counter()
        try:
            async with http.post(self.url, **payload) as reply:
                await reply.read()
                status = reply.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        outcome.statuses[status] = outcome.statuses.get(status, 0) + 1
        if status == 200:
            outcome.seconds.append(time.perf_counter() - started)


def wrk(url: str, body: bytes, kind: str, clients: int, seconds: float) -> Outcome | None:
    """Send one request again and again from a C client; None if `wrk` is not installed."""
    program = shutil.which("wrk")
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "body").write_bytes(body)
        script = Path(folder, "post.lua")
        script.write_text(
            f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "{kind}"\n'
            f'wrk.body = io.open("{folder}/body", "rb"):read("*a")\n'
            "function done(summary, latency, requests)\n"
            "  local bad = summary.errors.status + summary.errors.timeout + summary.errors.read\n"
            '  print(string.format("FIGURES %d %d %d %d %d", summary.requests, bad, summary.duration, '
            "latency:percentile(50), latency:percentile(99)))\nend\n"
        )
        length = f"{max(1, round(seconds))}s"
        asked = [program, "-t1", f"-c{clients}", f"-d{length}", "--timeout", "30s", "-s", str(script), url]
        output = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    requests, bad, micros, *percentiles = map(float, output.partition("FIGURES ")[2].split())
    return Outcome({200: int(requests - bad), 0: int(bad)}, [value / 1e6 for value in percentiles], micros / 1e6)


def memory(name: str, below: int | None = None) -> dict[str, int]:
    """MiB of the largest process of that name below one (this one): resident, and without what it shares."""
    sizes: dict[str, int] = {"Rss": 0, "Private": 0}
    for pid in find_processes(name, below):
        with suppress(OSError):
            rows = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
            kib = {row[0].rstrip(":"): int(row[1]) for row in rows}
            found = {"Rss": kib["Rss"] >> 10, "Private": (kib["Private_Clean"] + kib["Private_Dirty"]) >> 10}
            sizes = max(sizes, found, key=lambda size: size["Rss"])
    return sizes


class CpuSeconds(dict[str, float]):
    """CPU seconds by process name."""

    def __str__(self) -> str:
        """List those of a tenth of a second or more."""
        return "cpu s: " + ", ".join(f"{name} {value:.1f}" for name, value in self.items() if value >= 0.1)


@contextmanager
def cpu_seconds() -> Iterator[CpuSeconds]:
    """Fill what it yields with the CPU seconds that each process of the machine takes in the block."""
    before, spent = _cpu_seconds(), CpuSeconds()
    yield spent
    for process, (name, seconds) in _cpu_seconds().items():
        spent[name] = round(spent.get(name, 0.0) + seconds - before.get(process, (name, 0.0))[1], 2)


def _cpu_seconds() -> dict[str, tuple[str, float]]:
    """Name and CPU seconds of each process by its id; the name of a Ray actor without the method that it runs."""
    found, ticks = {}, os.sysconf("SC_CLK_TCK")
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            words = (process / "cmdline").read_text().replace("\0", " ").split()
            children = int(fields[13]) + int(fields[14])  # wrk has ended by then
            name = words[0].rpartition("/")[2].partition(".")[0]
            found[process.name] = (name, (int(fields[11]) + int(fields[12]) + children) / ticks)
    return found
