"""Pairs of whole runs on one root, started within a second: are the tables those of one run after the other?

`python tests/bench/overlap.py --pairs 10`, with `--s3` on an S3 server that it starts. Each pair runs ingest, fetch,
label, backfill and train twice at once; a third start, as by a scheduler that retries, comes while the first runs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from viral.demo import CorpusSpec, generate
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import load_features
from viral.registry.registry import Registry
from viral.storage import s3
from viral.storage.store import Store
from viral.tables.places import fetches_table, load_labels, load_posts

BIN = Path(sys.executable).parent
POSTS = 24
SETTLED = ["finished_at", "stage_seconds"]


def start(root: str, *arguments: str) -> subprocess.Popen[str]:
    command = [str(BIN / "viral"), *arguments, "--root", root, "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def together(root: str, arguments: tuple[str, ...], rng: random.Random) -> list[dict[str, Any]]:
    """Start a command twice within a second, and once more a little later."""
    runs = [start(root, *arguments)]
    for delay in (rng.uniform(0, 1), rng.uniform(1, 6)):
        time.sleep(delay)
        runs.append(start(root, *arguments))
    summaries = []
    for run in runs:
        output, errors = run.communicate(timeout=900)
        if run.returncode:
            sys.exit(f"{' '.join(arguments)}: {errors}")
        summaries.append(json.loads(output.splitlines()[-1]))
    return summaries


def state(root: str) -> dict[str, Any]:
    """What the tables hold, without times and random names."""
    store = Store(root)
    features = load_features(store, FeatureSet.named("words")).drop_columns(SETTLED)
    fetched = fetches_table(store).read(columns=["url", "status", "sha256", "video_uri"])
    tables: dict[str, pa.Table] = {"posts": load_posts(store), "features": features, "fetches": fetched}
    tables["labels"] = load_labels(store, "log_views")
    left = sorted({info.key.partition("/")[0] for info in store.objects("")} & {"staging", "locks", "runs"})
    return {**{name: table.to_pylist() for name, table in tables.items()}, "left": left}


def commands(folder: Path, site: str) -> list[tuple[str, ...]]:
    return [
        ("ingest", "csv", str(folder / "corpus" / "posts.csv")),
        ("fetch", *(f"{site}/video/{number}" for number in range(6)), "--allow-host", "127.0.0.1", "--rate", "50"),
        ("backfill", "--feature-set", "words"),
        ("label", "--split", "author"),
        ("train", "fusion", "--feature-set", "words", "--epochs", "3", "--workers", "1"),
    ]


def measure(folder: Path, site: str, new_root: Any, rng: random.Random) -> str:
    root, alone = new_root(), new_root()
    for command in commands(folder, site):
        together(root, command, rng)
        for _ in range(3 if command[0] == "train" else 1):
            if (run := start(alone, *command)).wait(900):
                sys.exit(f"{command} alone: {run.communicate()[1]}")
    found, expected = state(root), state(alone)
    models = [len(Registry(Store(place)).versions("fusion")) for place in (root, alone)]
    wrong = [name for name in expected if found[name] != expected[name]]
    return f"models {models[0]} and {models[1]}; " + (f"DIFFERENT: {wrong}" if wrong else "all tables equal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--s3", action="store_true")
    given = parser.parse_args()
    rng, number = random.Random(0), iter(range(10**6))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(
            folder / "corpus", CorpusSpec(posts=POSTS, authors=8, seconds=(3.1, 3.5), size=(112, 64), seed=1), workers=1
        )
        script = Path(__file__).parents[1] / "website.py"
        processes = [subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)]
        assert processes[0].stdout is not None
        site = f"http://127.0.0.1:{int(processes[0].stdout.readline())}"
        if given.s3:
            port = 5600
            processes.append(subprocess.Popen([str(BIN / "moto_server"), "-p", str(port)], stderr=subprocess.DEVNULL))
            os.environ |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "test"}
            os.environ |= {"AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
            time.sleep(5)

        def new_root() -> str:
            if given.s3:
                s3.client().create_bucket(Bucket=(bucket := f"pair-{next(number)}"))
                return f"s3://{bucket}/root"
            (root := folder / f"root-{next(number)}").mkdir()
            return str(root)

        try:
            for pair in range(given.pairs):
                began = time.monotonic()
                said = measure(folder, site, new_root, rng)
                print(f"{pair + 1:3}  {said}  ({time.monotonic() - began:.0f} s)", flush=True)
        finally:
            for process in processes:
                process.kill()


if __name__ == "__main__":
    main()
