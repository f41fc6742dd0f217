"""Rates of the endpoint against the same pipeline in a loop.

`python -m tests.bench.serve --root ROOT --model MODEL [--seconds 5] [--overload] [--pin]`. ROOT has a trained model
and videos below `videos/`. Requests come from a second process (aiohttp, as many connections as clients), those with
ready vectors also from `wrk` if it is installed: a client in Python takes as long as the endpoint. `--overload` then
offers five and twenty times the best rate of captions, whatever is answered. `--pin` gives the last core to the clients
and the others to the endpoint.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from fastapi import FastAPI, Request

from jobs.runtime.session import connect, session
from serve.early import EARLY
from serve.endpoint import HA_PROXY, free_port, running
from serve.settings import EndpointSpec
from tests.bench.load import Load, Outcome, cpu_seconds, memory, wrk
from viral.config import ServeSettings, Settings
from viral.extractors.extractor import Context
from viral.features.pipeline import Pipeline
from viral.scoring.scorer import Scorer
from viral.storage.store import Store

CLIENTS = (1, 2, 8, 16, 64)
CAPTIONS = [f"wait for it, number {number} is the best one yet #fyp" for number in range(512)]
ARROW_ROWS = 64
ARROW = "application/vnd.apache.arrow.stream"


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


def vectors(scorer: Scorer, rows: int) -> tuple[bytes, bytes]:
    """Random vectors as JSON (one row) and as an Arrow stream (`rows` rows)."""
    rng = np.random.default_rng(0)
    arrays = {s.name: rng.normal(size=(rows, s.dim)).astype(np.float32) for s in scorer.streams}
    table = pa.table(
        {name: pa.FixedSizeListArray.from_arrays(array.ravel(), array.shape[1]) for name, array in arrays.items()}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    row = {"vectors": [{name: array[0].tolist() for name, array in arrays.items()}]}
    return json.dumps(row).encode(), bytes(sink.getvalue())


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
        for path, body, kind, clients, name in (
            (bare, row, "application/json", 8, "bare echo, 8 clients"),
            (f"{url}/v1/score/features", row, "application/json", 8, "one vector, 8 clients"),
            (bare, stream, ARROW, 4, f"echo of {ARROW_ROWS} vectors"),
            (f"{url}/v1/score/features", stream, ARROW, 4, f"{ARROW_ROWS} vectors as Arrow"),
        ):
            load = Load(path, [{"data": body, "headers": {"content-type": kind}}])
            print(f"{name:26} {closed(load, clients).row()}  by a client in Python")
            with cpu_seconds() as spent:
                outcome = pool.submit(wrk, path, body, kind, clients, options.seconds).result()
            if outcome:
                vectors_per_second = (1 if body is row else ARROW_ROWS) * outcome.rate
                print(f"{'':26} {outcome.row()}  by wrk; {vectors_per_second:.0f} vectors/s; {spent}")
    videos = sorted((root / "videos").glob("*.mp4"))[:8]
    for clients in (2, 4):
        outcome = closed(Load(f"{url}/v1/score", [{"file": str(video)} for video in videos]), clients)
        print(f"uploads, {clients} clients        {outcome.row()}  {outcome.rate / base['uploads']:.2f} of the loop")
    if options.overload:
        outcome = pool.submit(captions.open, 0.7 * best, options.seconds).result()
        print(f"captions at 0.7 of {best:.0f}/s   {outcome.row()}")
        for times in (5, 20):
            before = memory("Ingress")
            with cpu_seconds() as spent:
                outcome = pool.submit(captions.open, times * best, 6 * options.seconds).result()
            print(
                f"captions at {times} times       {outcome.row()}  {outcome.rate / best:.2f} of the best rate; "
                f"ingress {before} to {memory('Ingress')} MiB; {spent}"
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
    parser.add_argument("--pin", action="store_true", help="a core for the clients alone")
    parser.add_argument("--ha-proxy", action="store_true", help="HAProxy in place of Serve's own proxy")
    options = parser.parse_args()
    if options.ha_proxy:
        os.environ.update(HA_PROXY, RAY_SERVE_HAPROXY_METRICS_ENABLED="0")  # as `viral serve` without a metrics port
    os.environ.update(EARLY)
    cores = sorted(os.sched_getaffinity(0))
    if options.pin:
        os.sched_setaffinity(0, cores[:-1])
    store = Store.open(str(options.root))
    videos = sorted((options.root / "videos").glob("*.mp4"))[:8]
    base = loops(store, options.model, videos, options.seconds)
    print(f"loop: {base['captions']:.1f} captions/s, {base['uploads']:.2f} videos/s")
    settings = Settings(serve=ServeSettings(port=free_port("127.0.0.1", 0)))
    spec = EndpointSpec(store.root, (options.model,), settings)
    with (
        ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), os.sched_setaffinity, (0, cores[-1:] if options.pin else cores)
        ) as pool,
        session(),
    ):
        connect()
        with running(spec) as url:
            measure(pool, url, options.root, Scorer.load(store, options.model), base, options)


if __name__ == "__main__":
    main()
