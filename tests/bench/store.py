"""Seconds, object store and spilled bytes of a backfill, by its shape, the size of the store and back-pressure.

`python tests/bench/store.py --posts 48`. The ratio is Ray Data's `downstream_capacity_backpressure_ratio`: how much
more a stage may have ready than the next one takes in. Clips are synthetic; a network with random weights makes
encoding take most of the time, so that decoded posts pile up. Seconds are without the start of the workers.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from pathlib import Path

import pyarrow as pa
import ray
import ray.data
from ray._private.internal_api import get_memory_info_reply, get_state_from_address

from jobs import backfill
from jobs.runtime.local_ray import OBJECT_STORE_BYTES
from viral.config import BackfillSettings, Settings
from viral.demo import CorpusSpec, generate
from viral.extractors.feature_set import FeatureSet
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

SET = FeatureSet.from_dict(
    {"name": "bench", "extractors": ["craft", {"name": "resnet50", "params": {"weights": "random", "frames": 8}}]}
)
CLIPS = 12  # files, of which each serves several posts
SMALL = 80 << 20  # bytes: little more than the least that Ray starts with
SIDES = [
    ("fused", OBJECT_STORE_BYTES, 2.0),
    ("two-stage", OBJECT_STORE_BYTES, 2.0),
    ("two-stage", OBJECT_STORE_BYTES, 10.0),
    ("two-stage", SMALL, 2.0),
    ("two-stage", SMALL, 10.0),
]
EVERY = 0.5  # seconds between looks at the store


def watch(ended: threading.Event, peaks: dict[str, float]) -> None:
    """Note the largest megabytes in the store, and those that were spilled."""
    state = get_state_from_address(ray.get_runtime_context().gcs_address)
    while not ended.wait(EVERY):
        stats = get_memory_info_reply(state).store_stats
        peaks["used"] = max(peaks["used"], stats.object_store_bytes_used / 1e6)
        peaks["spilled"] = max(peaks["spilled"], stats.spilled_bytes_total / 1e6)


def measure(store: Store, shape: str, size: int, ratio: float) -> tuple[float, dict[str, float]]:
    """Seconds, and megabytes used and spilled."""
    store.delete_below("features")
    ray.init(num_cpus=2, object_store_memory=size, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    context = ray.data.DataContext.get_current()
    context.downstream_capacity_backpressure_ratio, context.enable_progress_bars = ratio, False
    ended, peaks = threading.Event(), {"used": 0.0, "spilled": 0.0}
    watching = threading.Thread(target=watch, args=(ended, peaks))
    watching.start()
    try:
        settings = Settings(backfill=BackfillSettings(shape=shape, workers=2))
        summary = backfill.run(store, SET, settings)
    finally:
        ended.set()
        watching.join()
        ray.shutdown()
    assert summary.failed == 0, summary
    return summary.wall_seconds - summary.start_seconds, peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=48)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder, "corpus"), CorpusSpec(posts=CLIPS, authors=4, seconds=(5.0, 9.0)), workers=2)
        clips = sorted(Path(folder, "corpus", "videos").glob("*.mp4"))
        Path(folder, "root").mkdir()
        store = Store.open(Path(folder, "root"))
        posts = [
            {"post_id": str(number), "source": "bench", "video_uri": str(clips[number % CLIPS])}
            for number in range(given.posts)
        ]
        posts_table(store).append(pa.Table.from_pylist(posts, schema=POSTS), 0)
        print(f"{'shape':10}{'store':>9}{'ratio':>7}{'seconds':>9}{'MB used':>9}{'spilled':>9}", flush=True)
        for shape, size, ratio in SIDES:
            seconds, peaks = measure(store, shape, size, ratio)
            line = f"{shape:10}{size >> 20:6} MB{ratio:7.0f}{seconds:9.1f}{peaks['used']:9.0f}{peaks['spilled']:9.0f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
