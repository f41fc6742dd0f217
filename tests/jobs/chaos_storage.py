"""What the test of kills does at its S3 server, on a host of the same network: `python chaos_storage.py WHAT FILE`.

`fill` makes the posts and videos (FILE: a folder of short videos), `alone` writes what a few posts come to without any
cluster, `table` writes the feature table but for times, `clear` deletes it, `checkpoint` waits until a run that trains
has noted one, `losses` writes the curves of the saved models.
"""

from __future__ import annotations

import pickle
import sys
import time
from pathlib import Path

import pyarrow as pa

from viral.config import Settings
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.features.pipeline import Pipeline
from viral.features.posts import ExtractionRequest
from viral.registry.registry import Registry
from viral.storage import s3
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS as SCHEMA

POSTS = 72
ROOT = "s3://bucket/root"
SET = FeatureSet.from_dict({"name": "chaos", "extractors": ["metadata", "craft"]})  # without torch: nodes start sooner
VOLATILE = ["finished_at", "stage_seconds"]


def fill(folder: Path) -> None:
    """Short videos under many ids, among files that are broken; some posts have none."""
    s3.client().create_bucket(Bucket="bucket")
    store, videos = Store(ROOT), sorted(folder.glob("*.mp4"), key=lambda path: path.stat().st_size)
    for number, video in enumerate(videos[:3]):
        store.upload(video, f"videos/{number}.mp4")
    store.write("videos/3.mp4", videos[0].read_bytes()[: videos[0].stat().st_size // 2])
    store.write("videos/4.mp4", b"no video")
    posts = [
        {
            "post_id": f"post {number}",
            "source": "test",
            "video_uri": f"{ROOT}/videos/{number % 6}.mp4",
            "author_id": f"author {number % 20}",
            "views": 100 + number * 37 % 1000,
        }
        for number in range(POSTS)
    ]
    posts_table(store).append(pa.Table.from_pylist(posts, schema=SCHEMA), 0)


def alone() -> dict[str, list[object]]:
    """Status and vectors of the first posts, computed in this process."""
    found: dict[str, list[object]] = {}
    with Pipeline(SET, Store(ROOT), Settings()) as pipeline:
        for outcome in pipeline.extract(
            ExtractionRequest(f"post {number}", f"{ROOT}/videos/{number}.mp4") for number in range(5)
        ):
            vectors = [outcome.vectors.get(name) for name in SET.dims]
            found[outcome.post_id] = [outcome.status, *(None if each is None else each.tolist() for each in vectors)]
    return found


def table() -> tuple[pa.Table, int]:
    """The feature table but for times, and how many rows lie in its files."""
    parts = features_table(Store(ROOT), SET)
    return parts.read().drop_columns(VOLATILE), parts.stored_rows()


def losses() -> dict[str, list[list[float]]]:
    """Of each saved model the loss of each epoch, in training and validation."""
    registry = Registry(Store(ROOT))
    return {name: registry.load(name).card["losses"] for name in registry.names()}


def checkpoint() -> None:
    """Return as soon as one is noted where a new driver would look for it."""
    store = Store(ROOT)
    while True:
        noted = [each.key for each in store.objects("runs") if each.key.endswith("/checkpoint_manager_snapshot.json")]
        if any(b"checkpoint_" in store.read(key) for key in noted):
            return
        time.sleep(0.05)


if __name__ == "__main__":
    what, file = sys.argv[1], Path(sys.argv[2])
    if what == "fill":
        fill(file)
    elif what == "clear":
        Store(ROOT).delete_below("features")
    elif what == "checkpoint":
        checkpoint()
    else:
        file.write_bytes(pickle.dumps({"alone": alone, "table": table, "losses": losses}[what]()))
