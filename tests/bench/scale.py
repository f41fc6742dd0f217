"""Time and memory of ingest, label, backfill, train and evaluate, by the number of posts.

`python tests/bench/scale.py --posts 1000 10000 100000 1000000 [--backfill-up-to 100000]`. All posts point to one tiny
clip, and the feature set has no network: what is measured is the pipeline. Above `--backfill-up-to` this script writes
the feature table, and only the run that finds nothing to do is measured. `--info-files 100000` also ingests so many
info files of yt-dlp, of 60 kB each. `--steps label evaluate` measures these alone.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from memory import MARK, resident, tiny_clip

from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.features.reuse import write_feature_card
from viral.storage.store import Store
from viral.tables.bucketed import log2_buckets_for
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS, TIMESTAMP, VECTOR

STEPS = ["ingest", "ingest again", "backfill", "backfill again", "label", "evaluate"]
WRITTEN_AT_ONCE = 500_000
SET = FeatureSet.from_dict({"name": "stub", "extractors": ["metadata"]})


def scrape(path: Path, count: int, first: int = 0) -> None:
    """So many posts as JSON Lines, of a tenth as many authors, numbered from `first`."""
    chance = random.Random(count + first)
    with path.open("w") as file:
        for number in range(first, first + count):
            post = {
                "id": f"{7_000_000_000_000_000_000 + number}",
                "desc": f"a caption of some words #{number % 97} #fyp",
                "createTime": 1_600_000_000 + number,
                "video": {"duration": 10},
                "author": {"uniqueId": f"author{number % max(1, count // 10)}"},
                "authorStats": {"followerCount": int(chance.lognormvariate(8, 2))},
                "stats": {"playCount": int(chance.lognormvariate(9, 2)), "diggCount": number % 1000, "commentCount": 1},
            }
            file.write(json.dumps(post) + "\n")


def write_posts(store: Store, count: int) -> None:
    """So many posts of a tenth as many authors, as an ingest leaves them."""
    log2_buckets, rng = log2_buckets_for(count), np.random.default_rng(0)
    for start in range(0, count, WRITTEN_AT_ONCE):
        numbers = np.arange(start, min(start + WRITTEN_AT_ONCE, count))
        known = {
            "post_id": [f"{7_000_000_000_000_000_000 + number}" for number in numbers],
            "source": ["bench"] * len(numbers),
            "author_id": [f"author{number % max(1, count // 10)}" for number in numbers],
            "posted_at": pa.array((1_600_000_000 + numbers) * 1_000_000).cast(TIMESTAMP),
            "views": rng.lognormal(9, 2, len(numbers)).astype(np.int64),
        }
        columns = [known.get(field.name, pa.nulls(len(numbers), field.type)) for field in POSTS]
        posts_table(store).append(pa.table(columns, names=POSTS.names), log2_buckets)


def viral(*arguments: str | Path) -> tuple[float, float, float]:
    """Wall seconds of a command, and MB at most in its driver and in any process that works for it."""
    mark, peaks, began = uuid.uuid4().hex, defaultdict(float), time.monotonic()
    command = [str(Path(sys.executable).with_name("viral")), *map(str, arguments), "--json"]
    with subprocess.Popen(command, env={**os.environ, MARK: mark}, stdout=subprocess.DEVNULL) as running:
        while running.poll() is None:
            for (name, pid), megabytes in resident(mark).items():
                role = "driver" if pid == running.pid else "worker" if name.startswith("ray::") else "other"
                peaks[role] = max(peaks[role], megabytes)
            time.sleep(0.25)
    assert running.returncode == 0, arguments
    return time.monotonic() - began, peaks["driver"], peaks["worker"]


def fill(store: Store, left: float = 0.0) -> None:
    """The feature table that a backfill would leave, with vectors of noise and files that all differ.

    A share of the posts is left without a row.
    """
    posts, features, rng = posts_table(store), features_table(store, SET), np.random.default_rng(0)
    write_feature_card(store, SET)
    log2_buckets = log2_buckets_for(posts.stored_rows())
    same = {
        "attempt": pa.scalar(0, pa.int32()),
        "status": pa.scalar("ok"),
        "finished_at": pa.scalar(datetime.now(UTC)),
        "feature_set": pa.scalar(SET.fingerprint),
        "code_version": pa.scalar("0"),
    }
    for bucket in posts.scan(["post_id"]):
        rows = bucket.slice(round(bucket.num_rows * left))
        columns = {name: pa.repeat(value, rows.num_rows) for name, value in same.items()}
        columns["post_id"] = rows["post_id"]
        columns["sha256"] = rows["post_id"]
        vectors = rng.normal(size=(rows.num_rows, SET.dims["metadata"])).astype(np.float32)
        columns["metadata"] = pa.array(list(vectors), VECTOR)
        made = [columns.get(each.name, pa.nulls(rows.num_rows, each.type)) for each in features.schema]
        features.append(pa.table(made, names=features.schema.names), log2_buckets)


def info_files(folder: Path, count: int) -> None:
    """So many info files of 60 kB, nearly all of it addresses of formats, as sites give them."""
    formats = [
        {"format_id": str(number), "url": "https://example.org/" + "a" * 500, "ext": "mp4"} for number in range(105)
    ]
    info = {"formats": formats, "uploader_id": "u", "timestamp": 1_600_000_000, "ext": "mp4", "epoch": 1_700_000_000}
    for number in range(count):
        (folder / f"{number}.info.json").write_text(json.dumps({**info, "id": f"v{number}", "view_count": number}))


def measure_info_files(count: int) -> dict[str, tuple[float, float, float]]:
    with tempfile.TemporaryDirectory() as name:
        (root := Path(name, "root")).mkdir()
        (folder := Path(name, "scraped")).mkdir()
        info_files(folder, count)
        return {"info files": viral("ingest", "yt_dlp", folder, "--root", root)}


def measure(count: int, backfill_up_to: int, steps: list[str]) -> dict[str, tuple[float, float, float]]:
    with tempfile.TemporaryDirectory() as folder:
        root, set_file, clip = Path(folder, "root"), Path(folder, "set.yaml"), Path(folder, "tiny.mp4")
        root.mkdir()
        tiny_clip(clip)
        set_file.write_text(json.dumps(SET.to_dict()))
        at = ("--root", root)
        ingest = ("ingest", "tiktok_api", Path(folder, "posts.jsonl"), *at, "--video-uri", f"file://{clip}?{{post_id}}")
        found = {}
        if "ingest" in steps:
            scrape(Path(folder, "posts.jsonl"), count)
            found["ingest"] = viral(*ingest)
        else:
            write_posts(Store.open(root), count)
        backfill = ("backfill", "--feature-set", set_file, *at)
        if "backfill" in steps and count <= backfill_up_to:
            found["backfill"] = viral(*backfill)
        else:
            fill(Store.open(root))
        train = ("train", "metadata", "--feature-set", set_file, "--epochs", "1", "--workers", "0", *at)
        later = {
            "ingest again": ingest,
            "backfill again": backfill,
            "label": ("label", *at),  # with the hashes of the videos
            "train": train,
            "evaluate": ("evaluate", "--model", "metadata", "--resamples", "100", *at),
        }
        for step, command in later.items():
            if step in steps or (step in ("label", "train") and "evaluate" in steps):
                found[step] = viral(*command)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, nargs="*", default=[1000, 10_000])
    parser.add_argument("--backfill-up-to", type=int, default=100_000)
    parser.add_argument("--info-files", type=int, nargs="*", default=[])
    parser.add_argument("--steps", nargs="+", default=STEPS, choices=STEPS)
    given = parser.parse_args()
    measured = [(count, lambda count: measure_info_files(count)) for count in given.info_files]
    measured += [(count, lambda count: measure(count, given.backfill_up_to, given.steps)) for count in given.posts]
    before: dict[str, tuple[int, float]] = {}
    print(f"{'posts':>9}  {'step':16}{'seconds':>9}{'slope':>7}{'driver MB':>11}{'worker MB':>11}", flush=True)
    for count, measurement in measured:
        for step, (seconds, driver, worker) in measurement(count).items():
            then = before.get(step)
            slope = math.log(seconds / then[1]) / math.log(count / then[0]) if then else math.nan
            print(f"{count:9}  {step:16}{seconds:9.1f}{slope:7.2f}{driver:11.0f}{worker:11.0f}", flush=True)
            before[step] = count, seconds


if __name__ == "__main__":
    main()
