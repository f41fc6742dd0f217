"""Files that crash, hang or eat up their decoder, among good ones: only they fail, each for its own reason."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from jobs import backfill
from viral.config import BackfillSettings, SandboxSettings, Settings
from viral.extractors.feature_set import FeatureSet
from viral.features.attempts import Retry
from viral.features.feature_table import features_table
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

pytestmark = pytest.mark.usefixtures("ray_session")  # its workers' decoders do what the names of files say: see PLANTED

REASONS = {"segfault": "crashed", "exit": "crashed", "hang": "timed_out", "eat": "out_of_memory"}
GOOD = 12
SET = FeatureSet.from_dict({"name": "mini", "extractors": ["metadata", "craft"]})
LIMITS = SandboxSettings(seconds=3.0, memory_bytes=512 << 20)


@pytest.fixture
def store(tmp_path: Path, clips: list[Path]) -> Store:
    """Copies of clips; after each three good ones, one that is planted."""
    names = [f"good-{number}" for number in range(GOOD)]
    for position, name in enumerate(REASONS, 1):
        names.insert(4 * position - 1, f"{name}-{position}")
    for number, name in enumerate(names):
        shutil.copyfile(clips[number % 4], tmp_path / f"{name}.mp4")
    (tmp_path / "root").mkdir()
    store = Store.open(tmp_path / "root")
    posts = [{"post_id": name, "source": "test", "video_uri": f"{tmp_path}/{name}.mp4"} for name in names]
    posts_table(store).append(pa.Table.from_pylist(posts, schema=POSTS), 0)
    return store


def test_only_they_fail(store: Store) -> None:
    harmed = backfill.run(store, SET, Settings(sandbox=LIMITS))
    assert (harmed.ok, harmed.failed) == (GOOD, len(REASONS))
    assert harmed.reasons == {"crashed": 2, "timed_out": 1, "out_of_memory": 1}
    for row in features_table(store, SET).read().to_pylist():
        kind = row["post_id"].partition("-")[0]
        assert (row["status"], row["reason"]) == (("failed", REASONS[kind]) if kind in REASONS else ("ok", None))
        assert kind not in REASONS or row["detail"]
    # With a shape, because the decoder of this process, which would take a single post, is not planted.
    on_ray = Settings(sandbox=LIMITS, backfill=BackfillSettings(shape="fused"))
    again = backfill.run(store, SET, on_ray, retry=Retry(datetime.now(UTC), ("timed_out",)))
    assert (again.failed, again.reasons) == (1, {"timed_out": 1})
