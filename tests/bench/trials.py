"""What an endpoint goes through in a bad week: each trial prints what it saw.

`python -m tests.bench.trials --root ROOT --model MODEL [--minutes 1] [--mutants 500] [TRIAL…]`. ROOT has a trained
model and videos below `videos/`; `viral serve` serves it, as a process of its own, and stores jobs in it. Trials:

- `parity`: each video through upload, URI, job, client and `viral score`, without, with an empty and a real caption;
- `files`: the odd files of `shared/data`, and files that are cut, flipped or zeroed, as uploads;
- `explain`: captions and uploads, alone and beside ten clients that ask for explanations;
- `large`: 64 uploads of 200 MB at once, and an endless one;
- `drip`: 300 connections that send a byte now and then, beside captions;
- `leave`: 1,000 clients that leave at a random moment;
- `kill`: each kind of replica, the proxy and the controller, under load;
- `soak`: captions and uploads for so many minutes; the slope of each process's memory.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np

import viral
from tests.bench.endpoint import BIN, Clients, Endpoint, measured, serving
from tests.bench.load import memory
from tests.bench.report import slope
from tests.jobs.test_mutations import MUTATIONS
from tests.serve.processes import find_processes
from tests.serve.raw import FORM, form, request

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
LARGE, LARGE_COUNT = 200 << 20, 64  # bytes of an upload, and number of uploads at once
DRIPPING, DRIP_SECONDS = 300, 15.0
LEAVING = 1000
COMMANDS = 8  # videos that `viral score` scores in a process each, which takes seconds
EXPLAINING = 10
REPLICAS = ("Encoder", "Media", "Explainer", "Ingress", "ProxyActor", "ServeController")


def parity(endpoint: Endpoint, _: argparse.Namespace) -> None:
    """Compare the scores of each video by all ways."""
    with (DATA / "tiktok_videos" / "posts.csv").open(encoding="utf-8", newline="") as file:
        captions = {row["id"]: row["video_description"] for row in csv.DictReader(file)}
    client = viral.Client(endpoint.url, timeout=600)
    for name, caption_of in (("no", lambda _: None), ("empty", lambda _: ""), ("real", lambda v: captions.get(v.stem))):
        given = [{} if (c := caption_of(video)) is None else {"caption": c} for video in endpoint.videos]
        uris = [f"videos/{video.name}" for video in endpoint.videos]
        job = client.score_batch([{"uri": uri, **more} for uri, more in zip(uris, given, strict=True)])
        ways = {
            "job": [each.score for each in client.wait(job.id, timeout=1800).results],
            "client": [*client.score_many([{"file": v, **m} for v, m in zip(endpoint.videos, given, strict=True)])],
            "uri": [client.score(uri=uri, **more) for uri, more in zip(uris, given, strict=True)],
            "upload": [_posted(endpoint, *pair) for pair in zip(endpoint.videos, given, strict=True)],
        }
        values = np.array([[_probability(score) for score in scores] for scores in ways.values()])
        commands = zip(endpoint.videos[:COMMANDS], given, values[0], strict=False)
        differences = [abs(_probability(_command(endpoint, video, more)) - value) for video, more, value in commands]
        spread = float(np.max(values.max(axis=0) - values.min(axis=0)))
        print(
            f"parity, {name} caption: {values.shape[1]} videos by {', '.join(ways)}: at most {spread:.1e} apart; "
            f"{len(differences)} by `viral score`: at most {max(differences):.1e} from the job's"
        )


def _posted(endpoint: Endpoint, video: Path, more: dict[str, str]) -> dict[str, Any]:
    with endpoint.http as http:
        reply: dict[str, Any] = http.post("/v1/score", data=more, files={"file": video.read_bytes()}).json()
    return reply


def _command(endpoint: Endpoint, video: Path, more: dict[str, str]) -> dict[str, Any]:
    options = ["--caption", more["caption"]] if "caption" in more else []
    command = [BIN / "viral", "score", video, "--root", endpoint.root, "--model", endpoint.model, "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _probability(score: Any) -> float:
    return float(score["probability"] if isinstance(score, dict) else score.probability)


def files(endpoint: Endpoint, options: argparse.Namespace) -> None:
    """Upload files of all kinds; none may be a server error or show a path."""
    odd = [path for name in ("media_cases", "trouble") for path in (DATA / name).rglob("*") if path.is_file()]
    sources = [*endpoint.videos[:8], *(path for path in odd if 100 < path.stat().st_size < 1 << 20)]

    def mutant(number: int) -> bytes:
        rng, data = random.Random(number), bytearray(sources[number % len(sources)].read_bytes())
        rng.choice(MUTATIONS)(data, rng)
        return bytes(data)

    reads: list[Callable[[], bytes]] = [path.read_bytes for path in odd]
    reads += [lambda number=number: mutant(number) for number in range(options.mutants)]
    outcomes, bad = Counter[str](), []
    with endpoint.http as http, ThreadPoolExecutor(4) as pool:
        for reply in pool.map(lambda read: _patiently(http, read()), reads):
            outcomes[f"{reply.status_code} {reply.json().get('reason') or ''}".strip()] += 1
            shown = ("/tmp/", "/proc/", str(endpoint.root))
            if reply.status_code not in (200, 413, 422) or any(path in reply.text for path in shown):
                bad.append(reply.text[:300])
    print(f"files: {len(odd)} odd ones and {options.mutants} mutants: {dict(outcomes.most_common())}; bad: {bad}")


def _patiently(http: httpx.Client, content: bytes) -> httpx.Response:
    while (reply := http.post("/v1/score", files={"file": content})).status_code == 429:
        time.sleep(float(reply.headers["Retry-After"]))
    return reply


def explain(endpoint: Endpoint, _: argparse.Namespace) -> None:
    """Ask for explanations beside captions and uploads."""
    for what in ("captions", "uploads"):
        print(f"{what} alone: {measured(endpoint, what)}")
    stopped, video = threading.Event(), endpoint.videos[0].read_bytes()
    statuses: Counter[int] = Counter()

    def ask() -> None:
        with endpoint.http as http:
            while not stopped.wait(0.1):
                statuses[http.post("/v1/explain", files={"file": video + os.urandom(8)}).status_code] += 1

    threads = [threading.Thread(target=ask) for _ in range(EXPLAINING)]
    for thread in threads:
        thread.start()
    for what in ("captions", "uploads"):
        print(f"{what} beside {EXPLAINING} that ask for explanations: {measured(endpoint, what)}")
    stopped.set()
    for thread in threads:
        thread.join()
    print("explanations:", dict(statuses))


def large(endpoint: Endpoint, _: argparse.Namespace) -> None:
    """Send large files at once; the ingress and the proxy stay small."""
    sizes: dict[str, list[int]] = {name: [memory(name, endpoint.pid)["Rss"]] for name in ("Ingress", "ProxyActor")}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            for name, seen in sizes.items():
                seen.append(memory(name, endpoint.pid)["Rss"])

    def chunks(count: int) -> Iterator[bytes]:
        yield endpoint.videos[0].read_bytes()
        for _ in range(count):
            yield bytes(1 << 20)

    def send(count: int) -> int:
        head = form((b'Content-Disposition: form-data; name="file"; filename="a.mp4"', b"")).partition(b"\r\n\r\n")[0]
        body = (part for parts in ([head + b"\r\n\r\n"], chunks(count), [b"\r\n--x--\r\n"]) for part in parts)
        with endpoint.http as http:
            try:
                return http.post("/v1/score", content=body, headers={"Content-Type": FORM}).status_code
            except httpx.HTTPError:  # refused and closed while it was sent
                return 0

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(LARGE_COUNT) as pool:
        statuses = Counter(pool.map(send, [LARGE >> 20] * LARGE_COUNT))
    endless = send(10_000)
    started = time.monotonic()
    alone = send(LARGE >> 20)
    seconds = time.monotonic() - started
    done.set()
    watcher.join()
    print(f"large: {LARGE_COUNT} uploads of 200 MB: {dict(statuses)}; an endless one: {endless}")
    print(f"large: one upload of 200 MB alone: {alone} after {seconds:.1f} s")
    for name, seen in sizes.items():
        print(f"large: {name} {seen[0]} MiB before, at most {max(seen)} MiB, {seen[-1]} MiB at the end")


def drip(endpoint: Endpoint, _: argparse.Namespace) -> None:
    """Hold connections open beside captions."""
    alone = measured(endpoint, "captions", DRIP_SECONDS)
    host, port = endpoint.url.removeprefix("http://").split(":")
    body = request(form((b'Content-Disposition: form-data; name="file"; filename="a"', bytes(1 << 20))), FORM)
    connections = [socket.create_connection((host, int(port)), timeout=10) for _ in range(DRIPPING)]
    for connection in connections:
        connection.sendall(body[:300])
    with Clients(endpoint, "captions") as clients:
        until = time.monotonic() + DRIP_SECONDS
        while time.monotonic() < until:
            for connection in connections:
                with suppress(OSError):
                    connection.sendall(b"a")
            time.sleep(1)
    for connection in connections:
        connection.close()
    print(f"drip: captions alone {alone}; beside {DRIPPING} that drip {clients}")


def leave(endpoint: Endpoint, _: argparse.Namespace) -> None:
    """Let clients leave, then look whether all places are free."""
    host, port = endpoint.url.removeprefix("http://").split(":")
    video = endpoint.videos[0].read_bytes()

    def one(number: int) -> None:
        rng = random.Random(number)
        upload = form((b'Content-Disposition: form-data; name="file"; filename="a"', video + os.urandom(8)))
        content = (request(), request(upload, FORM), request(upload, FORM, "/v1/explain"))[number % 3]
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=30) as raw:
            raw.sendall(content[: rng.randrange(1, 2 * len(content))])
            time.sleep(rng.uniform(0, 0.5))

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(one, range(LEAVING)))
    started = time.monotonic()
    with endpoint.http as http:
        for path in ("/v1/score", "/v1/explain"):
            while (reply := http.post(path, files={"file": video + os.urandom(8)})).status_code == 429:
                time.sleep(0.2)
            print(f"leave: after {LEAVING}, {path}: {reply.status_code} after {time.monotonic() - started:.1f} s")


def kill(endpoint: Endpoint, _: argparse.Namespace) -> None:
    """Kill each kind of process under load."""
    for name in REPLICAS:
        with Clients(endpoint, "captions") as captions, Clients(endpoint, "uploads") as uploads:
            time.sleep(3)
            found = find_processes(name, endpoint.pid)
            killed = time.monotonic()
            for pid in found[:1]:
                os.kill(pid, signal.SIGKILL)
            time.sleep(30)
        last = max([*captions.bad, *uploads.bad], default=killed) - killed
        print(f"kill {name} ({len(found)} found): captions {captions}; uploads {uploads}; failed for {last:.1f} s")


def soak(endpoint: Endpoint, options: argparse.Namespace) -> None:
    """Watch the memory of each process under steady load."""
    sizes: dict[str, list[float]] = defaultdict(list)
    times, started = [], time.monotonic()
    with Clients(endpoint, "captions") as captions, Clients(endpoint, "uploads") as uploads:
        time.sleep(30)  # first come the caches
        while time.monotonic() < started + 60 * options.minutes:
            times.append(time.monotonic() - started)
            for name in REPLICAS:
                sizes[name].append(memory(name, endpoint.pid)["Rss"])
            time.sleep(5)
    print(f"soak, {options.minutes} min: captions {captions}; uploads {uploads}")
    for name, values in sizes.items():
        rise = slope(times, values)
        trend = "no slope beyond the scatter" if rise is None else f"{60 * rise:+.2f} MiB a minute"
        print(f"soak: {name:16} {values[0]:.0f} to {values[-1]:.0f} MiB, {trend}")


TRIALS = {trial.__name__: trial for trial in (parity, files, explain, large, drip, leave, kill, soak)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", nargs="*", default=[*TRIALS], metavar="TRIAL")
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--model", default="fusion")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--mutants", type=int, default=500)
    options = parser.parse_args(arguments)
    if unknown := set(options.trials) - TRIALS.keys():
        parser.error(f"no such trial: {', '.join(unknown)}")
    with serving(options.root.resolve(), options.model) as endpoint:
        for name in options.trials:
            started = time.monotonic()
            TRIALS[name](endpoint, options)
            print(f"{name} took {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
