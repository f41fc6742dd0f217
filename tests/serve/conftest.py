"""A root with a few clips and a model, and the endpoint on it: real Ray, real Serve, real HTTP."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from jobs.runtime.session import connect, session
from serve.endpoint import free_port, running
from serve.keys import KEY_VARIABLE, key_digest
from serve.settings import EndpointSpec
from tests.media.streams import copy_streams, kinds
from viral.config import SandboxSettings, ServeSettings, Settings
from viral.demo import CorpusSpec, generate
from viral.extractors.feature_set import FeatureSet
from viral.registry.registry import Registry
from viral.storage.store import Store

Endpoint = Callable[..., AbstractContextManager[httpx.Client]]

MODEL = "tiny"
CLIPS = CorpusSpec(posts=4, authors=2, seconds=(3.1, 5.0), size=(160, 90), fps=12, seed=5)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with clips in `videos/` and the model `tiny`: the light set, a fusion model that nobody trained."""
    folder = tmp_path_factory.mktemp("serve") / "root"
    generate(folder, CLIPS, workers=1)
    save_model(Store.open(folder))
    return folder


def save_model(store: Store, feature_set: FeatureSet | None = None, seed: int = 0) -> int:
    """Save a version of the model `tiny`, of the light set or another; gives its number."""
    import torch
    from safetensors.torch import save

    from viral.datasets.streams import streams_of
    from viral.models.fusion import Fusion
    from viral.models.fusion_config import FusionConfig

    feature_set = feature_set or FeatureSet.named("light")
    torch.manual_seed(seed)
    model = Fusion(FusionConfig(streams=streams_of(feature_set)))
    with torch.no_grad():
        model.gate.weight.normal_(0, 0.2)  # as zeros every modality would weigh the same
    card = {
        "kind": "network",
        "config": asdict(model.config),
        "target": {"mean": 10.0, "scale": 2.0},
        "feature_set": feature_set.to_dict(),
        "label": {"spec": {"definition": "log_views"}},
        "notes": ["nobody trained it"],
    }
    version = Registry(store).save(MODEL, card, save(model.state_dict()))
    calibrated(store, version)
    return version


def calibrated(store: Store, version: int) -> None:
    """Calibrate the model on invented posts, with every video in distribution."""
    from viral.datasets.streams import Batch
    from viral.scoring.calibration import fit
    from viral.scoring.reference import Reference
    from viral.scoring.scorer import CALIBRATION, Scorer

    registry, rng = Registry(store), np.random.default_rng(version)
    raw = Scorer(registry.load(f"{MODEL}/{version}"), raw=True)
    vectors = {stream.name: rng.normal(size=(100, stream.dim)).astype(np.float32) for stream in raw.streams}
    batch, y = Batch(vectors, np.ones((100, len(raw.streams)), bool)), rng.normal(10, 2, 100)
    prediction = raw.predict(batch)
    calibration = fit(
        prediction.probability, prediction.quantiles, y, y > 12, np.arange(100) // 5, base_rate=0.2, spread=(7.0, 13.0)
    )
    rows = pa.table(
        {
            "post_id": [f"post {number}" for number in range(100)],
            "author_id": [f"author {number // 5}" for number in range(100)],
            "posted_at": pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * 100, pa.timestamp("us", tz="UTC")),
            "target": y,
            "is_viral": y > 12,
        }
    )
    reference = Reference.fit(raw.streams, batch, rows, batch)
    Reference(rows, reference.streams, reference.content, 1e9).save(store, raw.saved.prefix)
    store.write(registry.key(MODEL, version, CALIBRATION), json.dumps(calibration.to_dict()).encode())


@pytest.fixture(scope="session")
def clip(root: Path) -> Path:
    """A clip with sound."""
    return next(path for path in sorted((root / "videos").glob("*.mp4")) if "audio" in kinds(path))


@pytest.fixture(scope="session")
def silent(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip without its sound track."""
    return copy_streams(clip, "video", tmp_path_factory.mktemp("silent"))


@pytest.fixture(scope="session")
def sound(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip's sound track alone."""
    return copy_streams(clip, "audio", tmp_path_factory.mktemp("sound"))


@pytest.fixture(scope="module")
def temporary() -> Iterator[Path]:
    """A folder for all temporary files of a module's Ray and endpoint; its path is short, as Ray's sockets need it.

    A Ray that other tests of this process left is ended: it has its files elsewhere.
    """
    import ray

    ray.shutdown()
    with tempfile.TemporaryDirectory(prefix="vs-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)
        assert not list(Path(folder).glob("viral-*")), "the endpoint left temporary files"


@pytest.fixture(scope="module")
def endpoint(temporary: Path) -> Endpoint:
    """Starts Ray and the endpoint, with settings of its own, and gives a client of it."""

    @contextmanager
    def start(
        root: str | Path, *, key: str | None = None, sandbox: dict[str, Any] | None = None, **limits: Any
    ) -> Iterator[httpx.Client]:
        settings = Settings(
            serve=ServeSettings(port=free_port("127.0.0.1", 0), **limits), sandbox=SandboxSettings(**(sandbox or {}))
        )
        with (
            key_in_environment(key),
            connected_session(),
            running(EndpointSpec(str(root), (MODEL,), settings, key_digest("127.0.0.1"))) as url,
            httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
        ):
            yield client

    return start


@contextmanager
def connected_session() -> Iterator[None]:
    with session():
        connect()
        yield


@contextmanager
def key_in_environment(key: str | None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(KEY_VARIABLE, raising=False)
        if key is not None:
            patch.setenv(KEY_VARIABLE, key)
        yield


@pytest.fixture
def check_refusal() -> Callable[..., str]:
    """Checks that a reply is a refusal in the one shape that all have; its detail."""

    def check(reply: httpx.Response, status: int, reason: str) -> str:
        assert reply.status_code == status, reply.text
        assert reply.headers["content-type"] == "application/problem+json"
        body = reply.json()
        assert set(body) == {"type", "title", "status", "reason", "detail"}
        assert body["status"] == status
        assert body["reason"] == reason
        assert body["detail"]
        assert "\n" not in body["detail"]
        return str(body["detail"])

    return check


@pytest.fixture
def check_answer() -> Callable[..., dict[str, Any]]:
    """Checks that a reply is a whole score; its body."""

    def check(reply: httpx.Response, *, missing: set[str]) -> dict[str, Any]:
        assert reply.status_code == 200, reply.text
        body: dict[str, Any] = reply.json()
        assert set(body["missing"]) == missing
        assert set(body["modalities"]) == {"metadata", "text", "audio", "editing", "image"} - missing
        assert sum(body["modalities"].values()) == pytest.approx(1)
        assert 0 < body["probability"] < 1
        low, high = body["interval"]
        assert low <= body["score"] <= high
        assert all(map(math.isfinite, (low, high, *body["rates"].values())))
        assert 0 <= body["percentile"] <= 100
        assert body["known"] is True
        assert body["model"] == f"{MODEL}/1"
        assert body["label"] == "log_views"
        assert body["notes"] == ["nobody trained it"]
        return body

    return check


@pytest.fixture
def processes(temporary: Path) -> Callable[..., list[int]]:
    """Finds the processes that were started with this module's folder for temporary files, by what they are called."""

    def find(named: bytes = b"") -> list[int]:
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        ours = [pid for pid in pids if f"TMPDIR={temporary}".encode() in read(pid, "environ")]
        return [pid for pid in ours if named in read(pid, "cmdline")]

    return find


@pytest.fixture
def decoders(processes: Callable[..., list[int]]) -> Callable[[], list[int]]:
    """Finds the decoding children among them."""
    return lambda: processes(b"viral.media.child")


def read(pid: int, name: str) -> bytes:
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:  # it has ended
        return b""
