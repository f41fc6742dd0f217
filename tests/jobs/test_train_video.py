"""A video network from real videos to a scored one: trained on Ray, saved, and used by all that use models."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from jobs import backfill, evaluate, ingest, label, score, train_video
from jobs.ingesting.source import IngestSource
from jobs.runtime.options import resolve_feature_set
from jobs.train_video import VideoSummary
from jobs.training.clips import ClipSource, pixels_of
from jobs.training.specs import VideoSpec
from viral.config import Settings
from viral.datasets.labelled_videos import LabelledVideos
from viral.errors import ConfigError, TableError, WeightsError
from viral.evaluation.splits import SplitSpec
from viral.extractors.clip_network import clip_network
from viral.extractors.extractor import Context
from viral.features.pipeline import Pipeline
from viral.labels import LabelSpec
from viral.models.epoch_plan import ClipChunk
from viral.models.video_config import VideoConfig
from viral.registry.registry import Registry
from viral.scoring.scorer import CALIBRATION, Scorer
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import labels_prefix, posts_table
from viral.tables.schemas import LABELS

BACKBONE = clip_network("r2plus1d", {"weights": "random", "frames": 2, "size": 32, "clips": 2})
SPEC = VideoSpec("video", BACKBONE, "log_views", workers=1)
CONFIG = VideoConfig(epochs=2, frozen_epochs=1, batch_size=4, micro_batch=2)


@dataclass(frozen=True)
class TrainedMember:
    """A root with labelled posts, of which one has no file, and a network that was trained on them."""

    store: Store
    video: Path
    summary: VideoSummary


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Networks here on as many threads as in a process that is told to take one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained(ray_session: None, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedMember:
    root = tmp_path_factory.mktemp("video")
    with (corpus / "posts.csv").open(encoding="utf-8", newline="") as file:
        posts = list(csv.DictReader(file))[:15]
    for post in posts:
        post["video_uri"] = str(corpus / post["video_uri"])
    video = Path(posts[0]["video_uri"])
    posts.append({**posts[0], "post_id": "lost", "video_uri": "/nowhere.mp4"})
    with (root / "posts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(posts[0]))
        writer.writeheader()
        writer.writerows(posts)
    store = Store.open(root)
    ingest.run(store, IngestSource("csv", (str(root / "posts.csv"),)))
    label.run(store, LabelSpec("log_views"), SplitSpec("random"))
    return TrainedMember(store, video, train_video.run(store, SPEC, CONFIG, Settings()))


def test_it_trains_and_counts_what_it_skips(trained: TrainedMember) -> None:
    summary, store = trained.summary, trained.store
    assert (summary.model, summary.epochs, summary.resumed_at_epoch) == ("video/1", 2, 0)
    assert summary.skipped == {"missing_object": 1}
    card = Registry(store).load("video").card
    assert (card["skipped"], len(card["losses"])) == (summary.skipped, 2)
    assert card["backbone"]["params"]["weights"] == "random"
    assert "began at random weights" in card["notes"][0]
    assert not list(store.objects("runs"))


def test_its_feature_set_is_filled_scored_and_judged_as_any_other(trained: TrainedMember) -> None:
    store = trained.store
    chosen = resolve_feature_set("model:video/1", None, store)
    assert chosen.table == f"features/video-1-{chosen.fingerprint}"
    filled = backfill.run(store, chosen, Settings())
    assert (filled.ok, filled.failed) == (15, 1)
    scored = score.run(store, "video")
    assert (scored.scored, scored.without_features) == (15, 1)
    judged = evaluate.run(store, "video", resamples=100)
    assert "constant" in judged.figures
    assert judged.unaudited == []
    assert store.exists(Registry.key("video", 1, CALIBRATION))  # at its training it had no features yet
    with pytest.raises(ConfigError, match="has its own"):
        resolve_feature_set("model:video/1", "random", store)
    with pytest.raises(TableError, match="there is no model vide in"):
        resolve_feature_set("model:vide", None, store)


def test_a_fresh_process_scores_to_the_last_bit_what_this_one_does(
    trained: TrainedMember, environment: dict[str, str], one_thread: None
) -> None:
    scorer = Scorer.load(trained.store, "video/1")
    with Pipeline(scorer.feature_set, trained.store, Settings()) as pipeline:
        outcome = pipeline.extract_draft(str(trained.video), Context())
    (here,) = scorer.score([outcome.vectors])
    command = [str(Path(sys.executable).with_name("viral")), "score", str(trained.video), "--json"]
    arguments = ["--model", "video", "--root", trained.store.root]
    single = {**environment, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True, env=single)
    there = json.loads(done.stdout)
    assert (there["probability"], there["score"], there["interval"]) == (
        here.probability,
        here.score,
        [here.low, here.high],
    )
    assert there["modalities"] == {"video": 1.0}
    assert there["interval"][0] < there["score"] < there["interval"][1]


def test_the_seed_decides_the_model(trained: TrainedMember, one_thread: None) -> None:
    """In a worker and in this process alike."""
    again = train_video.run(trained.store, replace(SPEC, name="again", workers=0), CONFIG, Settings())
    for file in ("model.safetensors", "backbone.safetensors"):
        first, second = (trained.store.read(Registry.key(name, 1, file)) for name in ("video", "again"))
        assert first == second
    assert again.data_hash == trained.summary.data_hash


def test_every_epoch_sees_other_clips_and_every_evaluation_the_same(trained: TrainedMember) -> None:
    store = trained.store
    labels, _ = replaced.open_current(store, labels_prefix("log_views"), LABELS)
    fixed = ClipSource(LabelledVideos(posts_table(store), labels), 0, BACKBONE, Settings(), "train")
    chunk = ClipChunk(0, 0, 4)

    def told(source: ClipSource) -> tuple[list[str], list[bytes]]:
        table = source.table(chunk)
        return table["post_id"].to_pylist(), table["pixels"].to_pylist()

    ids, pixels = told(fixed)
    assert (ids, pixels) == told(fixed)
    assert ids == sorted(ids)
    row = next(row for row in fixed.table(chunk).to_pylist() if row["pixels"])
    assert pixels_of(row).shape[1:] == (2, 32, 32, 3)
    epochs = [told(replace(fixed, epoch=(0, epoch))) for epoch in (0, 0, 1)]
    assert epochs[0] == epochs[1]
    assert epochs[0][0] != epochs[2][0]
    first, other = (set(filter(None, epochs[i][1])) for i in (0, 2))
    assert len(first & other) < len(first) / 2  # parts of one still scene look the same wherever they are cut


def test_what_cannot_be_trained(trained: TrainedMember, tmp_path: Path) -> None:
    def run(store: Store = trained.store, **changed: object) -> None:
        train_video.run(store, replace(SPEC, name="m", **changed), CONFIG, Settings())

    with pytest.raises(TableError, match="there is no table labels/log_views"):
        run(Store.open(tmp_path))
    with pytest.raises(TableError, match="there is no table labels/other"):
        run(label="other")
    with pytest.raises(WeightsError, match="viral weights fetch r2plus1d-kinetics400"):
        run(backbone=clip_network("r2plus1d", {}))
    with pytest.raises(TableError, match="at least 40 are needed"):
        run(workers=40)
    with pytest.raises(ConfigError, match="is not a valid name"):
        train_video.run(trained.store, replace(SPEC, name="a/b"), CONFIG, Settings())
    assert not list(trained.store.objects("models/m"))
