"""Every post ends as one row, whatever its video is."""

from __future__ import annotations

import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import backfill, evaluate, ingest, label, score, train_network
from jobs.ingesting.source import IngestSource
from jobs.training.specs import TrainSpec
from tests.media.streams import copy_streams
from viral.config import Settings
from viral.errors import TableError, WeightsError
from viral.evaluation.splits import SplitSpec
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.labels import LabelSpec
from viral.models.train_config import TrainConfig
from viral.scoring.scorer import Scorer
from viral.storage.store import Store


def ingested(store: Store, posts, tmp_path) -> Store:
    path = tmp_path / "posts.parquet"
    pq.write_table(pa.Table.from_pylist(posts), path)
    assert ingest.run(store, IngestSource("parquet", (str(path),))).posts == len(posts)
    return store


@pytest.fixture
def store(ray_session, tmp_path) -> Store:
    (tmp_path / "root").mkdir()
    return Store.open(tmp_path / "root")


def test_posts_that_lack_something_and_files_that_are_broken(store, clips, tmp_path):
    good = clips[-1]
    silent, sound = copy_streams(good, "video", tmp_path), copy_streams(good, "audio", tmp_path)
    broken, empty, text = tmp_path / "broken.mp4", tmp_path / "empty.mp4", tmp_path / "text.mp4"
    broken.write_bytes(good.read_bytes()[:2000])
    empty.write_bytes(b"")
    text.write_text("not a video")
    posts = [
        {"post_id": "all", "video_uri": str(good), "caption": "look at this", "author_followers": 10},
        {"post_id": "bare", "video_uri": str(good)},
        {"post_id": "silent", "video_uri": str(silent), "caption": "no sound"},
        {"post_id": "sound-only", "video_uri": str(sound)},
        {"post_id": "broken", "video_uri": str(broken)},
        {"post_id": "empty", "video_uri": str(empty)},
        {"post_id": "text", "video_uri": str(text)},
        {"post_id": "missing", "video_uri": str(tmp_path / "no.mp4")},
        {"post_id": "no-uri", "video_uri": None},
        {"post_id": "elsewhere", "video_uri": "https://example.org/v.mp4"},
        {"post_id": "folder", "video_uri": str(tmp_path)},
    ]
    light, steps = FeatureSet.named("light"), []
    summary = backfill.run(
        ingested(store, posts, tmp_path), light, Settings(), progress=lambda *step: steps.append(step)
    )
    rows = {row["post_id"]: row for row in features_table(store, light).read().to_pylist()}
    assert rows.keys() == {post["post_id"] for post in posts}
    assert (summary.posts, summary.ok, summary.partial, summary.failed) == (11, 3, 0, 8)
    assert {name: row["reason"] for name, row in rows.items() if row["status"] == "failed"} == {
        "sound-only": "no_video_stream",
        **dict.fromkeys(["broken", "empty", "text"], "unreadable"),
        **dict.fromkeys(["missing", "no-uri", "elsewhere", "folder"], "missing_object"),
    }
    assert summary.reasons == {"no_video_stream": 1, "unreadable": 3, "missing_object": 4}
    assert all(row["detail"] for row in rows.values() if row["status"] == "failed")
    assert (steps[0], steps[-1]) == ((0, 11), (11, 11))
    absent = {
        name: [extractor for extractor in light.dims if rows[name][extractor] is None]
        for name in ("all", "bare", "silent")
    }
    assert absent == {"all": [], "bare": ["caption", "ngrams"], "silent": ["acoustics"]}
    assert all(math.isfinite(value) for name in light.dims for value in rows["silent"][name] or [])
    again = backfill.run(store, light, Settings())
    assert (again.done_before, again.ok, again.failed) == (11, 0, 0)


def with_few_frames(feature_set: FeatureSet) -> FeatureSet:
    """The same, its networks with as little to do as may be."""
    few = {"resnet50": {"frames": 1}, "r2plus1d": {"clips": 1, "frames": 2, "size": 32}}
    entries = [entry.to_dict() for entry in feature_set.entries]
    extractors = [entry | {"params": entry["params"] | few.get(entry["name"], {})} for entry in entries]
    return FeatureSet.from_dict({"name": feature_set.name, "extractors": extractors})


def test_full_with_random_weights_says_so_everywhere(store, clips, tmp_path):
    shortest = [clip.stem for clip in clips[:10]]
    copied = clips[0]  # another file that looks the same: its label is left out
    (tmp_path / copied.name).write_bytes(copied.read_bytes() + b"\0\0\0\x08free")
    posts = [
        {
            "post_id": f"{name}-{turn}",
            "author_id": f"{name}{turn}",
            "video_uri": str((clips[0].parent, tmp_path)[turn] / f"{name}.mp4"),
            "views": 7 ** (n % 5),
        }
        for turn in range(2)
        for n, name in enumerate(shortest[: 10 - 9 * turn])
    ]
    full = with_few_frames(FeatureSet.named("full", weights="random"))
    ingested(store, posts, tmp_path)
    summary = backfill.run(store, full, Settings())
    assert (summary.posts, summary.ok + summary.partial) == (11, 11)
    assert "random" in summary.table
    rows = features_table(store, full).read()
    for name in ("resnet50", "r2plus1d"):
        assert rows[name].null_count == 0
        assert len(rows[name][0]) == 512 if name == "r2plus1d" else 2048
    by_id = {row["post_id"]: row for row in rows.to_pylist()}
    assert by_id[f"{copied.stem}-0"]["resnet50"] == by_id[f"{copied.stem}-1"]["resnet50"]
    label.run(store, LabelSpec("log_views"), SplitSpec("author", test=0.1, validation=0.1))
    trained = train_network.run(store, TrainSpec("random", full, "log_views", workers=0), TrainConfig(epochs=1))
    notes = Scorer.load(store, trained.model).notes
    assert any("random weights in resnet50, r2plus1d" in note for note in notes)
    evaluate.run(store, trained.model, resamples=100)
    card = json.loads(store.read("models/random/0001/scorecard.json"))
    assert card["about"]["random_weights"] == ["resnet50", "r2plus1d"]
    assert score.run(store, trained.model).scored == 11


def test_what_cannot_be_filled(store, tmp_path):
    with pytest.raises(TableError, match="ingest some first"):
        backfill.run(store, FeatureSet.named("light"), Settings())
    ingested(store, [{"post_id": "1", "video_uri": "x.mp4"}], tmp_path)
    with pytest.raises(WeightsError, match="viral weights"):
        backfill.run(store, FeatureSet.named("full"), Settings())
    assert not list(store.objects("features"))
