"""Rates of the endpoint against the same pipeline in a loop.

`python -m tests.bench.serve --root ROOT --model MODEL [--seconds 5] [--overload]`. ROOT has a trained model, and videos
below `videos/`. Requests come from a second process (aiohttp, as many connections as clients). `--overload` then offers
five and twenty times the best rate of captions, whatever is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from fastapi import FastAPI, Request

from jobs.runtime.session import connect, session
from serve.endpoint import HA_PROXY, free_port, running
from serve.settings import EndpointSpec
from viral.config import ServeSettings, Settings
from viral.extractors.extractor import Context
from viral.features.pipeline import Pipeline
from viral.scoring.scorer import Scorer
from viral.storage.store import Store

CLIENTS = (1, 2, 8, 16, 64)
CAPTIONS = [f"wait for it, number {number} is the best one yet #fyp" for number in range(512)]
ARROW_ROWS = 64
ARROW = "application/vnd.apache.arrow.stream"


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


def loops(store: Store, model: str, videos: list[Path], seconds: float) -> dict[str, float]:
    """Rates of the pipeline and the scorer alone, in this process on one thread."""
    import torch

    torch.set_num_threads(1)
    scorer = Scorer.load(store, model)
    rates = {}
    with Pipeline(scorer.feature_set, store, Settings()) as pipeline:
        for name in ("captions", "uploads"):
            started, done = time.perf_counter(), 0
            while time.perf_counter() - started < seconds or done < len(videos):
                video = str(videos[done % len(videos)]) if name == "uploads" else None
                context = Context(caption=CAPTIONS[done % len(CAPTIONS)])
                scorer.score([pipeline.extract_draft(video, context).vectors])
                done += 1
            rates[name] = done / (time.perf_counter() - started)
    return rates


def vectors(scorer: Scorer, rows: int) -> tuple[dict[str, Any], bytes]:
    """Random vectors as JSON (one row) and as an Arrow stream (`rows` rows)."""
    rng = np.random.default_rng(0)
    arrays = {s.name: rng.normal(size=(rows, s.dim)).astype(np.float32) for s in scorer.streams}
    table = pa.table(
        {name: pa.FixedSizeListArray.from_arrays(array.ravel(), array.shape[1]) for name, array in arrays.items()}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return {"vectors": [{name: array[0].tolist() for name, array in arrays.items()}]}, bytes(sink.getvalue())


@contextmanager
def echo(url: str) -> Iterator[str]:
    """A bare FastAPI deployment behind the same proxy."""
    from ray import serve

    app = FastAPI()

    @app.post("/")
    async def back(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @serve.deployment(max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0})
    @serve.ingress(app)
    class Echo:
        pass

    serve.run(Echo.bind(), name="echo", route_prefix="/echo")
    yield f"{url}/echo/"
    serve.delete("echo")


def memory(name: str) -> float:
    """Resident MiB of the largest process of that name."""
    sizes = [0]
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if name in (process / "cmdline").read_text():
                sizes.append(int((process / "statm").read_text().split()[1]) * resource.getpagesize())
    return max(sizes) / (1 << 20)


def measure(
    pool: Executor, url: str, root: Path, scorer: Scorer, base: dict[str, float], options: argparse.Namespace
) -> None:
    """Print the table."""

    def closed(load: Load, clients: int) -> Outcome:
        return pool.submit(load.closed, clients, options.seconds).result()

    captions = Load(f"{url}/v1/score", [{"json": {"caption": caption}} for caption in CAPTIONS])
    closed(captions, 8)
    best = 0.0
    for clients in CLIENTS:
        outcome = closed(captions, clients)
        best = max(best, outcome.rate)
        print(f"captions, {clients:2} clients  {outcome.row()}  {outcome.rate / base['captions']:.2f} of the loop")
    row, stream = vectors(scorer, ARROW_ROWS)
    with echo(url) as bare:
        floor = closed(Load(bare, [{"json": row}]), 8)
        print(f"bare echo, 8 clients       {floor.row()}")
        outcome = closed(Load(f"{url}/v1/score/features", [{"json": row}]), 8)
        print(f"one vector, 8 clients      {outcome.row()}  {outcome.rate / floor.rate:.2f} of the echo")
    arrow = Load(f"{url}/v1/score/features", [{"data": stream, "headers": {"content-type": ARROW}}])
    outcome = closed(arrow, 4)
    print(f"{ARROW_ROWS} vectors as Arrow       {outcome.row()}  {ARROW_ROWS * outcome.rate:.0f} vectors/s")
    videos = sorted((root / "videos").glob("*.mp4"))[:8]
    for clients in (2, 4):
        outcome = closed(Load(f"{url}/v1/score", [{"file": str(video)} for video in videos]), clients)
        print(f"uploads, {clients} clients        {outcome.row()}  {outcome.rate / base['uploads']:.2f} of the loop")
    if options.overload:
        outcome = pool.submit(captions.open, 0.7 * best, options.seconds).result()
        print(f"captions at 0.7 of {best:.0f}/s   {outcome.row()}")
        for times in (5, 20):
            before = memory("Ingress")
            outcome = pool.submit(captions.open, times * best, 6 * options.seconds).result()
            print(
                f"captions at {times} times       {outcome.row()}  {outcome.rate / best:.2f} of the best rate; "
                f"ingress {before:.0f} to {memory('Ingress'):.0f} MiB"
            )
            time.sleep(2)
            print(f"two seconds later          {closed(captions, 2).row()}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--model", default="fusion")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--overload", action="store_true")
    parser.add_argument("--ha-proxy", action="store_true", help="HAProxy in place of Serve's own proxy")
    options = parser.parse_args()
    if options.ha_proxy:
        os.environ.update(HA_PROXY)
    store = Store.open(str(options.root))
    videos = sorted((options.root / "videos").glob("*.mp4"))[:8]
    base = loops(store, options.model, videos, options.seconds)
    print(f"loop: {base['captions']:.1f} captions/s, {base['uploads']:.2f} videos/s")
    settings = Settings(serve=ServeSettings(port=free_port("127.0.0.1", 0)))
    spec = EndpointSpec(store.root, (options.model,), settings)
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
        session(),
    ):
        connect()
        with running(spec) as url:
            measure(pool, url, options.root, Scorer.load(store, options.model), base, options)


if __name__ == "__main__":
    main()
