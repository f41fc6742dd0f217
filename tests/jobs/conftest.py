"""One Ray for all tests of jobs, the 43 real videos taken through every job once, and `viral` as a process."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jobs import backfill, evaluate, ingest, label, score, train_network
from jobs.runtime.session import session
from jobs.training.specs import TrainSpec
from viral.config import Settings
from viral.evaluation.splits import SplitSpec
from viral.extractors.feature_set import FeatureSet
from viral.labels import LabelSpec
from viral.models.train_config import TrainConfig
from viral.storage.store import Store

TIKTOK_VIDEOS = {
    "post_id": "id",
    "author_id": "username",
    "posted_at": "create_time",
    "caption": "video_description",
    "duration_seconds": "duration",
    "views": "views_t1",
    "likes": "likes_t1",
    "comments": "comments_t1",
    "shares": "shares_t1",
    "video_uri": "file",
}
CONFIG = TrainConfig(epochs=20)

Viral = Callable[..., subprocess.CompletedProcess[str]]


class SharedRay:
    """Ray on this machine, for all tests that run jobs in this process."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def up(self) -> None:
        """Start it, or start it again where the tests of the endpoint, which have one of their own, have ended it."""
        import ray

        if not ray.is_initialized():
            self._stack.close()
            self._stack.enter_context(session())


@pytest.fixture(scope="session")
def shared_ray(s3_server: str) -> Iterator[SharedRay]:
    """Ray for the tests of this process; its workers know the S3 server."""
    del s3_server
    with ExitStack() as stack:
        yield SharedRay(stack)


@pytest.fixture(scope="module")
def ray_session(shared_ray: SharedRay) -> None:
    """This process is connected to the Ray that its tests share."""
    shared_ray.up()


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """What a command is started with: this process's environment without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VIRAL_")}


@pytest.fixture
def viral(environment: dict[str, str]) -> Viral:
    """Run `viral` as a process of its own, with a Ray of its own."""

    def call(*arguments: str | Path, timeout: float = 400, **more: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("viral")), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=timeout, env={**environment, **more}
        )

    return call


@dataclass(frozen=True)
class Flow:
    """A root that went through all jobs, with what each said."""

    store: Store
    columns: dict[str, str]
    feature_set: FeatureSet
    config: TrainConfig
    ingested: ingest.IngestSummary
    filled: backfill.BackfillSummary
    labelled: label.LabelSummary
    trained: train_network.TrainSummary
    judged: evaluate.EvaluateSummary
    scored: score.ScoreSummary


@pytest.fixture(scope="session")
def tiktoks(shared_ray: SharedRay, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """The 43 real videos, ingested, extracted, labelled, learnt from, judged and scored. Read only.

    Made by the first process of a run that asks for it; the others wait for it, and each has a copy.
    """
    shared_ray.up()
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "tiktoks"
    folder.mkdir(exist_ok=True)
    root, said = folder / "root", folder / "flow.pickle"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            root.mkdir()
            said.write_bytes(pickle.dumps(_flow(Store.open(root), shared_data)))
    own = tmp_path_factory.mktemp("tiktoks") / "root"
    shutil.copytree(root, own)
    return replace(pickle.loads(said.read_bytes()), store=Store.open(own))


def _flow(store: Store, shared_data: Path) -> Flow:
    light = FeatureSet.named("light")
    source = ingest.Source("csv", (str(shared_data / "tiktok_videos" / "posts.csv"),), TIKTOK_VIDEOS)
    ingested = ingest.run(store, source)
    filled = backfill.run(store, light, Settings())
    labelled = label.run(store, LabelSpec("log_views"), SplitSpec("author"))
    trained = train_network.run(store, TrainSpec("tiktoks", light, "log_views"), CONFIG)
    judged = evaluate.run(store, trained.model, resamples=100)
    scored = score.run(store, trained.model)
    return Flow(store, TIKTOK_VIDEOS, light, CONFIG, ingested, filled, labelled, trained, judged, scored)


@pytest.fixture(scope="session")
def shortest(shared_data: Path) -> list[str]:
    """The names of the eight shortest of the real videos, shortest first."""
    with (shared_data / "tiktok_videos" / "posts.csv").open(encoding="utf-8", newline="") as file:
        posts = list(csv.DictReader(file))
    return [post["id"] for post in sorted(posts, key=lambda post: float(post["duration"]))[:8]]


@pytest.fixture
def write_posts(tmp_path: Path) -> Callable[..., Path]:
    """Write posts, one mapping each, as JSON Lines beside nothing else; the columns are those of a post."""

    def write(*posts: dict[str, object], name: str = "posts.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(json.dumps(post) for post in posts), encoding="utf-8")
        return path

    return write
