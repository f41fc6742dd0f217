"""Files that crash, hang or eat up their decoder, among good ones: only they fail, each for its own reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

pytestmark = pytest.mark.slow

PLANTED = Path(__file__).with_name("planted")
SECONDS = 4.0
REASONS = {"segfault": "crashed", "exit": "crashed", "hang": "timed_out", "eat": "out_of_memory"}
COPIES, GOOD = 1, 20
SET = FeatureSet.from_dict({"name": "mini", "extractors": ["metadata", "acoustics"]})


@pytest.fixture
def root(tmp_path: Path, clips: list[Path]) -> Path:
    """Copies of clips; among each four good ones, one that is planted."""
    root, videos = tmp_path / "root", tmp_path / "videos"
    root.mkdir()
    videos.mkdir()
    (tmp_path / "set.yaml").write_text(json.dumps(SET.to_dict()))
    bad = [f"{name}-{number}" for number in range(COPIES) for name in REASONS]
    names = [
        name
        for number in range(GOOD)
        for name in ([f"good-{number}", *bad[number // 5 : number // 5 + 1]] if number % 5 == 0 else [f"good-{number}"])
    ]
    for number, name in enumerate(names):
        shutil.copyfile(clips[number % 4], videos / f"{name}.mp4")
    posts = [{"post_id": name, "source": "test", "video_uri": f"{videos}/{name}.mp4"} for name in names]
    posts_table(Store.open(root)).append(pa.Table.from_pylist(posts, schema=POSTS), 0)
    return root


def test_only_they_fail(root: Path, tmp_path: Path, viral_process: Callable) -> None:
    def backfill(name: str, *more: str, **environment: str) -> dict[str, object]:
        card = {**SET.to_dict(), "name": name}
        del card["fingerprint"]
        (tmp_path / f"{name}.yaml").write_text(json.dumps(card))
        limits = {"VIRAL_SANDBOX__SECONDS": str(SECONDS), "VIRAL_SANDBOX__MEMORY_BYTES": str(512 << 20)}
        result = viral_process(
            *("backfill", "--feature-set", tmp_path / f"{name}.yaml", "--root", root, "--json", *more),
            **limits,
            **environment,
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    harmed = backfill("harmed", PYTHONPATH=str(PLANTED))
    assert (harmed["ok"], harmed["failed"]) == (GOOD, COPIES * len(REASONS))
    assert harmed["reasons"] == {"crashed": 2 * COPIES, "timed_out": COPIES, "out_of_memory": COPIES}
    table = features_table(Store.open(root), FeatureSet.from_dict({"name": "harmed", "extractors": list(SET.dims)}))
    rows = {row["post_id"]: row for row in table.read().to_pylist()}
    for name, row in rows.items():
        kind = name.partition("-")[0]
        assert (row["status"], row["reason"]) == (("failed", REASONS[kind]) if kind in REASONS else ("ok", None))
        assert kind not in REASONS or row["detail"]
    once = backfill("harmed", "--retry-failed", "--reason", "timed_out", PYTHONPATH=str(PLANTED))
    assert (once["failed"], once["reasons"]) == (COPIES, {"timed_out": COPIES})
