"""Sizes of the pools of a backfill in two stages: fixed ones, by halves and by cost, against Ray Data's autoscaling.

`python tests/bench/pools.py`. The stages sleep for the seconds that they are given, on five cores and two GPUs that
Ray is told of: what is measured is who gets them. An encoder first loads its networks, for `--load` seconds. `GPU
seconds` is the time for which encoders hold GPUs. Time counts from the first result.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import ray
import ray.data
from ray.data import ActorPoolStrategy
from report import print_table

from jobs.runtime.session import connect, session

CORES, GPUS, POSTS = 5, 2, 8  # POSTS: per chunk
IN_FLIGHT, BATCH = 2, 32  # as jobs/backfilling/shapes.py
EVERY = 0.1  # seconds between looks at who holds what


class Decode:
    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        for seconds in batch["decode"].to_pylist():
            time.sleep(seconds * POSTS)
            yield pa.table({"post": list(range(POSTS))})


class Encode:
    def __init__(self, load: float, seconds: float) -> None:
        time.sleep(load)
        self.seconds = seconds

    def __call__(self, batch: pa.Table) -> pa.Table:
        time.sleep(self.seconds * batch.num_rows)
        return batch


@dataclass(frozen=True)
class Case:
    """Seconds per post of the stages; `gpu`: encoders have GPUs; `tail`: the last chunk takes so many seconds."""

    name: str
    decode: float
    encode: float
    gpu: bool
    tail: float = 0.0


CASES = (
    Case("GPUs, a long video last", 0.06, 0.02, gpu=True, tail=15.0),
    Case("cores, encoding takes most", 0.03, 0.06, gpu=False),
    Case("GPUs, decoding takes most", 0.06, 0.01, gpu=True),
    Case("cores, decoding takes most", 0.06, 0.02, gpu=False),
    Case("GPUs, encoding takes most", 0.03, 0.03, gpu=True),
)


def sizes(case: Case, policy: str) -> tuple[ActorPoolStrategy, ActorPoolStrategy]:
    pool = partial(ActorPoolStrategy, max_tasks_in_flight_per_actor=IN_FLIGHT)
    if policy == "Ray's":
        return pool(min_size=1, max_size=CORES - 1), pool(min_size=1, max_size=GPUS if case.gpu else CORES - 1)
    if case.gpu:
        encoders = GPUS
    elif policy == "halves":
        encoders = CORES // 2
    else:  # by cost
        encoders = round(CORES * case.encode / (case.encode + case.decode))
    encoders = max(1, min(encoders, CORES - 1))
    decoders = pool(size=CORES - encoders)
    if policy == "fixed, then released":
        return decoders, pool(min_size=1, max_size=encoders, initial_size=encoders)
    return decoders, pool(size=encoders)


def measure(case: Case, policy: str, chunks: int, load: float) -> tuple[float, float]:
    """Wall seconds, and GPU seconds."""
    chance = random.Random(0)
    rows = [{"decode": case.decode * chance.lognormvariate(-0.08, 0.4)} for _ in range(chunks)]
    if case.tail:
        rows[-1] = {"decode": case.tail / POSTS}
    decoders, encoders = sizes(case, policy)
    decoded = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        Decode, batch_size=1, batch_format="pyarrow", num_cpus=1, compute=decoders
    )
    encoded = decoded.map_batches(
        Encode, fn_constructor_args=(load, case.encode), batch_size=BATCH, batch_format="pyarrow",
        num_cpus=1, num_gpus=1 if case.gpu else 0, compute=encoders,
    )  # fmt: skip
    held, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(EVERY):
            held[0] += EVERY * (GPUS - ray.available_resources().get("GPU", 0))

    watching = threading.Thread(target=watch)
    watching.start()
    posts, began = 0, 0.0
    for posts, _ in enumerate(encoded.iter_rows(), start=1):
        if posts == 1:
            began, held[0] = time.monotonic(), 0.0
    wall = time.monotonic() - began
    ended.set()
    watching.join()
    assert posts == chunks * POSTS
    return wall, held[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=60)
    parser.add_argument("--load", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--cases", type=int, default=len(CASES), help="the first so many of them")
    given = parser.parse_args()
    os.environ["RAY_OVERRIDE_RESOURCES"] = json.dumps({"CPU": CORES, "GPU": GPUS})
    with session():
        connect()
        compare(given.cases, given.chunks, given.load, given.rounds)


def compare(cases: int, chunks: int, load: float, rounds: int) -> None:
    for case in CASES[:cases]:
        policies = ["fixed, then released", "fixed", "Ray's"] if case.gpu else ["halves", "by cost", "Ray's"]
        found: dict[str, list[float]] = {}
        for _ in range(rounds):
            for policy in policies:
                wall, held = measure(case, policy, chunks, load)
                found.setdefault(policy, []).append(wall)
                if case.gpu:
                    found.setdefault(f"{policy}: GPU seconds", []).append(held)
        print(f"\n{case.name}", end="", flush=True)
        print_table(found, digits=1)


if __name__ == "__main__":
    main()
