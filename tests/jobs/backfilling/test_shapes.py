"""Both shapes of a backfill give the same rows and the same metrics."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import ray

from jobs import backfill
from jobs.backfilling.profile import Profile
from jobs.runtime.local_ray import METRICS_SWITCH
from jobs.runtime.session import connect, session
from tests.conftest import Viral
from tests.shared_ray import SharedRay, free_port
from viral.config import BackfillSettings, Settings
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.features.reuse import write_feature_card
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

SET = FeatureSet.from_dict(
    {
        "name": "pictures",
        "extractors": ["metadata", "craft", {"name": "resnet50", "params": {"weights": "random", "frames": 1}}],
    }
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
    return Settings(backfill=BackfillSettings(shape=shape, encoders=encoders, workers=2))


@pytest.fixture
def ray_with_metrics(shared_ray: SharedRay, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Ray of this test alone: metrics take a part of the cores all the time."""
    shared_ray.end()
    monkeypatch.setenv(METRICS_SWITCH, "1")  # and as it was, afterwards
    monkeypatch.setenv("RAY_metrics_report_interval_ms", "2000")  # by default 10 s, for which the test would wait
    with session():
        connect(metrics_port=free_port())
        yield


def test_both_give_the_same_rows_and_figures(store: Store, ray_with_metrics: None) -> None:
    table, tables, profiles = features_table(store, SET), [], []
    for settings in (shaped("auto"), shaped("two-stage", encoders=9)):  # without a GPU, `auto` is the fused shape
        store.delete_below("features")
        profile = Profile()
        summary = backfill.run(store, SET, settings, profile=profile)
        profiles.append(profile.to_dict(summary))
        assert (summary.posts, summary.ok, summary.partial, summary.failed) == (8, 5, 0, 3)
        assert summary.reasons == {"unreadable": 1, "missing_object": 2}
        assert {"read", "decode", "resnet50", "craft"} <= summary.stage_seconds.keys()
        assert table.stored_rows() == 8
        tables.append(table.read().drop_columns(VOLATILE))
    assert tables[0].equals(tables[1])
    assert_profiles(profiles, table.read())
    metrics = scrape_metrics(posts=16)
    assert metrics['viral_backfill_posts_total{status="ok",reason=""}'] == 10
    assert metrics['viral_backfill_posts_total{status="failed",reason="missing_object"}'] == 4
    assert metrics['viral_backfill_stage_seconds_total{stage="decode"}'] > 0
    size = sum(row["bytes"] or 0 for row in table.read(columns=["bytes"]).to_pylist())
    assert metrics["viral_backfill_read_bytes_total{}"] == 2 * size
    assert metrics["viral_backfill_posts_waiting{}"] == 0


def test_a_small_backfill_writes_its_profile_too(store: Store, viral_here: Viral, tmp_path: Path) -> None:
    (tmp_path / "set.yaml").write_text("name: small\nextractors: [metadata, craft]")
    command = ("backfill", "--root", store.root, "--feature-set", tmp_path / "set.yaml", "--profile")
    done = viral_here(*command, tmp_path / "profile.json")
    assert done.returncode == 0, done.stderr
    profile = json.loads((tmp_path / "profile.json").read_text())
    assert (profile["posts"], list(profile["nodes"])) == (8, [socket.gethostname()])
    refused = viral_here(*command, tmp_path / "none" / "profile.json")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.endswith("there is no such folder\n")


@pytest.mark.usefixtures("ray_session")
def test_the_second_shape_copies_what_is_known_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "log2_buckets_for", lambda rows: 2)  # four buckets, as of 100,000 posts
    small = FeatureSet.from_dict({"name": "small", "extractors": ["craft"]})
    backfill.run(store, small, shaped("two-stage"))
    summary = backfill.run(store, SET, shaped("two-stage"))
    assert (summary.ok, summary.failed) == (5, 3)
    assert summary.reuses == {small.table: "craft"}
    assert "craft" not in summary.stage_seconds
    copied = features_table(store, SET).read()
    write_feature_card(store, SET)
    assert copied["craft"].to_pylist() == features_table(store, small).read()["craft"].to_pylist()


def assert_profiles(profiles: list[dict[str, Any]], rows: pa.Table) -> None:
    """Both know all posts and bytes of the only node, and the shares that they took of its cores."""
    read = pc.sum(rows["bytes"]).as_py()
    for profile in profiles:
        assert profile["posts"] == 8
        ((name, node),) = profile["nodes"].items()
        assert name == ray.util.get_node_ip_address()
        assert (node["posts_decoded"], node["posts_encoded"]) == (8, 8)
        assert node["bytes"]["read"] == read
        assert node["bytes"]["decode"] > read  # a frame of 224 by 224 pixels for the network, and those of cuts
        assert node["bytes"]["resnet50"] == 5 * 4 * SET.dims["resnet50"]
        assert node["seconds"].keys() == profile["share_of_wall"].keys()
        assert 0 < sum(profile["share_of_wall"].values()) < 2
        assert 0 < node["cores_busy_share"] <= 1


def scrape_metrics(posts: int) -> dict[str, float]:
    """The metrics of this node as Prometheus reads them, summed over the workers, with the tags of the product.

    Each process sends its own every few seconds: waits for the counter of so many posts, and for the driver's gauge.
    """
    import ray

    (node,) = [node for node in ray.nodes() if node["Alive"]]
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    until, total = time.monotonic() + 60, {}
    while time.monotonic() < until and not (
        total.get("viral_backfill_posts_total", 0) >= posts and total.get("viral_backfill_posts_waiting") == 0
    ):
        time.sleep(0.5)
        with urllib.request.urlopen(address, timeout=10) as response:
            text = response.read().decode()
        total = parse_metrics(text)
    return total


def parse_metrics(text: str) -> dict[str, float]:
    total: dict[str, float] = {}
    for name, labels, value in re.findall(r"^ray_(viral_\w+)\{(.*)\} (\S+)$", text, re.MULTILINE):
        tags = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if tags.get("feature_set") == SET.name:
            key = ",".join(f'{tag}="{tags.get(tag, "")}"' for tag in ("status", "reason", "stage") if tag in tags)
            key = key if not key.startswith("status") or "reason" in key else f'{key},reason=""'
            total[f"{name}{{{key}}}"] = total.get(f"{name}{{{key}}}", 0) + float(value)
            total[name] = total.get(name, 0) + float(value)
    return total
