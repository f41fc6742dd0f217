"""A small corpus taken through every job once, and `viral` as a process."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from jobs import backfill, evaluate, ingest, label, score, train_network
from jobs.backfilling.summary import BackfillSummary
from jobs.ingesting.source import IngestSource
from jobs.training.specs import TrainSpec
from tests.conftest import MadeOnce, Viral
from tests.shared_ray import SharedRay
from viral.config import Settings
from viral.evaluation.splits import SplitSpec
from viral.extractors.feature_set import FeatureSet
from viral.labels import LabelSpec
from viral.models.train_config import TrainConfig
from viral.storage.store import Store

CONFIG = TrainConfig(epochs=20)
SAME = 1e-6  # a batch and a single post, in float32


@pytest.fixture(scope="session", autouse=True)
def one_worker() -> Iterator[None]:
    """Backfills in this process use one worker: a second takes longer to start than it saves with so few posts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIRAL_BACKFILL__WORKERS", "1")
        yield


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """What a command is started with: this process's environment without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VIRAL_")}


@pytest.fixture
def viral(shared_ray: SharedRay, viral_here: Viral) -> Viral:
    """Run `viral` in this process, on the Ray that tests share."""

    def call(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        shared_ray.up()
        return viral_here(*arguments, **more)

    return call


@pytest.fixture
def viral_process(environment: dict[str, str]) -> Viral:
    """Run `viral` as a process of its own, with a Ray of its own."""

    def call(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("viral")), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=400, env={**environment, **more}
        )

    return call


def contents(store: Store) -> dict[str, str]:
    """SHA-256 of every object of a root."""
    return {info.key: hashlib.sha256(store.read(info.key)).hexdigest() for info in store.objects("")}


@dataclass(frozen=True)
class Flow:
    """A root that went through all jobs, with what each said."""

    store: Store
    feature_set: FeatureSet
    config: TrainConfig
    ingested: ingest.IngestSummary
    filled: BackfillSummary
    labelled: label.LabelSummary
    trained: train_network.TrainSummary
    judged: evaluate.EvaluateSummary
    scored: score.ScoreSummary


@pytest.fixture(scope="session")
def flow(shared_ray: SharedRay, corpus: Path, made_once: MadeOnce, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """The synthetic corpus, ingested, extracted, labelled, trained on, evaluated and scored. Read only.

    Made by the first process of a run that asks for it; each process has its own copy.
    """

    def make(folder: Path) -> None:
        shared_ray.up()
        (folder / "root").mkdir()
        source = IngestSource("csv", (str(corpus / "posts.csv"),))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VIRAL_BACKFILL__WORKERS", "1")
            flow = all_jobs(Store.open(folder / "root"), source, "fused")
        (folder / "flow.pickle").write_bytes(pickle.dumps(flow))

    made = made_once("flow", make)
    shared_ray.up()
    own = tmp_path_factory.mktemp("flow") / "root"
    shutil.copytree(made / "root", own)
    return replace(pickle.loads((made / "flow.pickle").read_bytes()), store=Store.open(own))


def all_jobs(store: Store, source: IngestSource, name: str, workers: int = 2) -> Flow:
    """Take posts through every job."""
    light = FeatureSet.named("light")
    ingested = ingest.run(store, source)
    filled = backfill.run(store, light, Settings())
    labelled = label.run(store, LabelSpec("log_views"), SplitSpec("author"))
    trained = train_network.run(store, TrainSpec(name, light, "log_views", workers), CONFIG)
    judged = evaluate.run(store, trained.model, resamples=100)
    scored = score.run(store, trained.model)
    return Flow(store, light, CONFIG, ingested, filled, labelled, trained, judged, scored)


def check_scored_alike(viral: Viral, flow: Flow, post: dict[str, Any], row: dict[str, Any]) -> None:
    """`viral score FILE` of a row of the posts table gives the row of the predictions table."""
    context = ["--caption", post["caption"], "--posted-at", post["posted_at"].strftime("%Y-%m-%dT%H:%M:%S")]
    context += [part for tag in post["hashtags"] or () for part in ("--hashtag", tag)]
    if post["author_followers"] is not None:
        context += ["--author-followers", str(post["author_followers"])]
    if post["sound_original"] is not None:
        context += ["--sound-original" if post["sound_original"] else "--sound-reused"]
    done = viral("score", post["video_uri"], "--model", row["model"], "--root", flow.store.root, "--json", *context)
    assert (done.returncode, done.stderr) == (0, "")
    score = json.loads(done.stdout)
    assert (score["known"], score["missing"], score["model"]) == (row["known"], row["missing"], row["model"])
    expected = [row[name] for name in ("probability", "score", "low", "high")]
    assert [score["probability"], score["score"], *score["interval"]] == pytest.approx(expected, abs=SAME, rel=0)
    assert score["modalities"] == pytest.approx(dict(row["shares"]), abs=SAME, rel=0)


@pytest.fixture
def write_posts(tmp_path: Path) -> Callable[..., Path]:
    """Write posts, one mapping each, as JSON Lines beside nothing else; the columns are those of a post."""

    def write(*posts: dict[str, object], name: str = "posts.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(json.dumps(post) for post in posts), encoding="utf-8")
        return path

    return write
