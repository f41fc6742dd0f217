"""What the test of a local cluster does at its S3 server, on the same host: `python at_storage.py WHAT FILE`.

`videos` stores videos (FILE: a folder of short ones), `alone` writes what a few posts come to without any cluster,
`table` writes the feature table but for times, `clear` deletes it, `checkpoint` waits until a run that
trains has noted one, `losses` writes the curves of the saved models.
"""

from __future__ import annotations

import pickle
import sys
import time
from pathlib import Path

import pyarrow as pa

from jobs.backfilling.stages import extraction_request
from viral.config import Settings
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.features.pipeline import Pipeline
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables.places import posts_table

POSTS, WHOLE = 72, 40  # the first have a video of their own
ROOT = "s3://viral/root"
SET = FeatureSet.from_dict({"name": "short", "extractors": ["metadata", "craft"]})  # without torch: nodes start sooner
VOLATILE = ["finished_at", "stage_seconds"]


def video_of(number: int) -> str:
    """URI of the video of a post: its own, or one that is cut, no video, or missing."""
    return f"{ROOT}/videos/{number if number < WHOLE else ('cut', 'text', 'none')[number % 3]}.mp4"


def videos(folder: Path) -> None:
    """Short videos, and files that are broken."""
    store, shortest = Store(ROOT), sorted(folder.glob("*.mp4"), key=lambda path: path.stat().st_size)
    for number, video in enumerate(shortest[:WHOLE]):
        store.upload(video, f"videos/{number}.mp4")
    store.write("videos/cut.mp4", shortest[0].read_bytes()[: shortest[0].stat().st_size // 2])
    store.write("videos/text.mp4", b"no video")


def alone() -> dict[str, list[object]]:
    """Status and vectors of some posts, computed in this process."""
    found: dict[str, list[object]] = {}
    posts = posts_table(Store(ROOT)).read().to_pylist()[::7]  # of those without a video of their own, each kind
    with Pipeline(SET, Store(ROOT), Settings()) as pipeline:
        for outcome in pipeline.extract(map(extraction_request, posts)):
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
    if what == "videos":
        videos(file)
    elif what == "clear":
        Store(ROOT).delete_below("features")
    elif what == "checkpoint":
        checkpoint()
    else:
        file.write_bytes(pickle.dumps({"alone": alone, "table": table, "losses": losses}[what]()))
