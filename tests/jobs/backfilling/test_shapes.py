"""Both shapes of a backfill give the same rows, and the same figures to whoever watches."""

from __future__ import annotations

import re
import time
import urllib.request
from pathlib import Path

import pyarrow as pa
import pytest

from jobs import backfill
from viral.config import BackfillSettings, Settings
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.features.reuse import write_feature_card
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

pytestmark = pytest.mark.usefixtures("ray_session")

SET = FeatureSet.from_dict(
    {"name": "pictures", "extractors": ["metadata", "acoustics", {"name": "resnet50", "params": {"weights": "random"}}]}
)
VOLATILE = ["finished_at", "stage_seconds"]


@pytest.fixture
def store(tmp_path: Path, clips: list[Path]) -> Store:
    """Five clips and three posts that come to nothing."""
    (tmp_path / "root").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    store = Store.open(tmp_path / "root")
    uris = [*map(str, clips[:5]), str(tmp_path / "text.mp4"), None, "gone.mp4"]
    posts = [
        {"post_id": str(number), "source": "test", "video_uri": uri, "caption": "a caption"}
        for number, uri in enumerate(uris)
    ]
    posts_table(store).append(pa.Table.from_pylist(posts, schema=POSTS), 0)
    return store


def shaped(shape: str, encoders: int | None = None) -> Settings:
    return Settings(backfill=BackfillSettings(shape=shape, encoders=encoders))


def test_both_give_the_same_rows_and_figures(store: Store) -> None:
    table, found = features_table(store, SET), []
    for settings in (shaped("fused"), shaped("two-stage", encoders=9), shaped("auto")):
        store.delete_below("features")
        said = backfill.run(store, SET, settings)
        assert (said.posts, said.ok, said.partial, said.failed) == (8, 5, 0, 3)
        assert said.reasons == {"unreadable": 1, "missing_object": 2}
        assert {"read", "decode", "resnet50", "acoustics"} <= said.stage_seconds.keys()
        assert table.stored_rows() == 8
        found.append(table.read().drop_columns(VOLATILE))
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])
    metrics = scraped()
    assert metrics['viral_backfill_posts_total{status="ok",reason=""}'] == 15
    assert metrics['viral_backfill_posts_total{status="failed",reason="missing_object"}'] == 6
    assert metrics['viral_backfill_stage_seconds_total{stage="decode"}'] > 0
    size = sum(row["bytes"] or 0 for row in table.read(columns=["bytes"]).to_pylist())
    assert metrics["viral_backfill_read_bytes_total{}"] == 3 * size
    assert metrics["viral_backfill_posts_waiting{}"] == 0


def test_the_second_shape_copies_what_is_known_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "log2_buckets_for", lambda rows: 2)  # four buckets, as of 100,000 posts
    small = FeatureSet.from_dict({"name": "small", "extractors": ["acoustics"]})
    backfill.run(store, small, shaped("two-stage"))
    said = backfill.run(store, SET, shaped("two-stage"))
    assert (said.ok, said.failed) == (5, 3)
    assert said.reuses == {small.table: "acoustics"}
    assert "acoustics" not in said.stage_seconds
    taken = features_table(store, SET).read()
    write_feature_card(store, SET)
    assert taken["acoustics"].to_pylist() == features_table(store, small).read()["acoustics"].to_pylist()


def scraped() -> dict[str, float]:
    """Our metrics as Prometheus reads them from this node, added up over the workers, with our tags."""
    import ray

    (node,) = [node for node in ray.nodes() if node["Alive"]]
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    until, total = time.monotonic() + 60, {}
    while time.monotonic() < until and total.get("viral_backfill_posts_total", 0) < 24:
        time.sleep(1)
        with urllib.request.urlopen(address, timeout=10) as answer:
            text = answer.read().decode()
        total = added(text)
    return total


def added(text: str) -> dict[str, float]:
    total: dict[str, float] = {}
    for name, labels, value in re.findall(r"^ray_(viral_\w+)\{(.*)\} (\S+)$", text, re.MULTILINE):
        given = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if given.get("feature_set") == SET.name:
            ours = ",".join(f'{tag}="{given.get(tag, "")}"' for tag in ("status", "reason", "stage") if tag in given)
            ours = ours if not ours.startswith("status") or "reason" in ours else f'{ours},reason=""'
            total[f"{name}{{{ours}}}"] = total.get(f"{name}{{{ours}}}", 0) + float(value)
            total[name] = total.get(name, 0) + float(value)
    return total
