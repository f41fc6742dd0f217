"""`viral trends` on synthetic posts with planted rising sounds, hashtags and words.

`python -m tests.bench.trends [--posts 1000000] [--root ROOT]`. Posts of 120 days by authors of whom one in a thousand
makes a quarter of all posts; sounds, hashtags and words by Zipf's law; the views grow with the age of a post. In the
newest week `PLANTED` sounds, hashtags and words rise from ten authors of 100,000 posts to sixty. The table says where
the planted ones rank, how long the command and each query of a page take, and the memory of the command's process.
With --root, the posts are written there, and a second run reads them.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import viral
from viral.storage.store import Store
from viral.tables.bucketed import log2_buckets_for
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

PLANTED = 5
DAYS, END = 120, np.datetime64("2026-03-01T00:00:00", "us")
SOUNDS, TAGS, WORDS = 200_000, 100_000, 50_000
EARLIER, NEWEST = 10, 60  # planted uses of 100,000 posts: in the week before, in the newest one
QUERIES = {
    "top ten sounds": "SELECT name, velocity, rise FROM trends WHERE kind = 'sound' ORDER BY rise_rank LIMIT 10",
    "one trend's posts": "SELECT * FROM trend_posts WHERE trend_id = 'sound:planted0' ORDER BY rank",
    "all kinds": "SELECT kind, name, counts, totals FROM trends WHERE rise_rank <= 10 ORDER BY kind, rise_rank",
    "fastest hashtags": "SELECT name, velocity FROM trends WHERE kind = 'hashtag' ORDER BY velocity_rank LIMIT 50",
    "viral and other posts": "SELECT * FROM trend_features ORDER BY abs(effect) DESC",
}


def posts(count: int, seed: int = 0) -> pa.Table:
    """Made-up posts, the planted ones included."""
    rng = np.random.default_rng(seed)
    age = rng.random(count) * DAYS
    authors = np.where(
        rng.random(count) < 0.25, rng.integers(0, count // 1000 + 1, count), rng.integers(0, count, count)
    )
    sounds = named("s", zipf(rng, count, SOUNDS))
    tags = named("t", zipf(rng, count * 3, TAGS)).reshape(count, 3)
    words = named("w", zipf(rng, count * 8, WORDS)).reshape(count, 8)
    plant(rng, np.floor(age / 7), sounds, tags[:, 0], words[:, 0])
    posted = END - (age * 86_400e6).astype("timedelta64[us]")
    scraped = np.minimum(posted + (rng.random(count) * 10 * 86_400e6).astype("timedelta64[us]"), END)
    hours = (scraped - posted).astype(float) / 3600e6
    columns = {
        "post_id": pa.array(named("p", np.arange(count)), pa.string()),
        "source": pa.array(["synthetic"] * count),
        "author_id": pa.array(named("a", authors), pa.string()),
        "posted_at": pa.array(posted),
        "scraped_at": pa.array(scraped),
        "caption": pa.array([" ".join(row) for row in words.tolist()]),
        "hashtags": pa.array(tags.tolist()),
        "sound_id": pa.array(sounds, pa.string()),
        "sound_title": pa.array(sounds, pa.string()),
        "duration_seconds": pa.array(rng.gamma(2, 10, count)),
        "views": pa.array((np.exp(rng.normal(7, 2, count)) * (1 + np.log1p(hours))).astype(np.int64)),
        "author_followers": pa.array(np.exp(rng.normal(6, 2, count)).astype(np.int64)),
    }
    missing = {field.name: pa.nulls(count, field.type) for field in POSTS if field.name not in columns}
    return pa.table({**columns, **missing}).select(POSTS.names).cast(POSTS)


def plant(rng: np.random.Generator, week: npt.NDArray[np.float64], *columns: npt.NDArray[np.object_]) -> None:
    """Write the planted names over some values of the two newest weeks, in each column."""
    count = len(week)
    for number in range(PLANTED):
        for when, uses in ((1, EARLIER), (0, NEWEST)):
            for column in columns:
                rows = rng.choice(np.flatnonzero(week == when), max(3, uses * count // 100_000), replace=False)
                column[rows] = f"planted{number}"


def named(letter: str, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
    return np.char.add(letter, numbers.astype(str)).astype(object)


def zipf(rng: np.random.Generator, count: int, kinds: int) -> npt.NDArray[np.int64]:
    """Numbers below `kinds`, the n-th about proportional to 1/n."""
    return np.exp(rng.random(count) * np.log(kinds)).astype(np.int64)


def write(store: Store, count: int) -> None:
    rows = posts(count)
    posts_table(store).append(rows, log2_buckets_for(rows.num_rows))


def command(root: str) -> tuple[dict[str, Any], float, float, float]:
    """Run the command; return what it prints, its seconds and CPU seconds, and the GiB that it takes at most."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    line = [sys.executable, "-c", "from cluster.cli import main; main()", "trends", "--root", root, "--json"]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - started
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), seconds, cpu, after.ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--root", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(args.root or folder)
        if not posts_table(store).stored_rows():
            write(store, args.posts)
        printed, seconds, cpu, memory = command(store.root)
        print(f"{printed['posts']} posts: {seconds:.1f} s, {cpu:.1f} s of CPU, {memory:.2f} GiB; {printed['trends']}")
        for title, rows in printed["lists"].items():
            ranks = [rank for rank, row in enumerate(rows, 1) if str(row.get("key")).startswith("planted")]
            print(f"planted among the top ten {title}: ranks {ranks}")
        with viral.query(store) as tables:
            for name, text in QUERIES.items():
                started, before = time.monotonic(), time.process_time()
                rows = tables.sql(text).num_rows
                seconds, cpu = time.monotonic() - started, time.process_time() - before
                print(f"{name}: {rows} rows, {seconds:.2f} s, {cpu:.2f} s of CPU")


if __name__ == "__main__":
    main()
