"""A root with a few clips and a model, and the endpoint on it: real Ray, real Serve, real HTTP."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from serve.endpoint import NAME, running
from serve.keys import KEY_VARIABLE, key_digest
from serve.settings import EndpointSpec
from tests.media.streams import copy_streams, kinds
from tests.shared_ray import SharedRay, free_port
from viral.config import SandboxSettings, ServeSettings, Settings
from viral.demo import CorpusSpec, generate
from viral.extractors.feature_set import FeatureSet
from viral.registry.registry import Registry
from viral.storage.store import Store

MODEL, KEY = "tiny", "ein Schlüssel mit Ümlauten 🎬"
BEARER = {"Authorization": f"Bearer {KEY}".encode()}
MAX_UPLOAD = 4 << 20  # bytes
LIMITS = Settings(
    serve=ServeSettings(port=1, max_replicas=1, max_decoders=1, max_upload_bytes=MAX_UPLOAD, max_wait_seconds=0.5),
    sandbox=SandboxSettings(seconds=6.0),  # a decoder of a test run on busy cores has been seen to take 3
)
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

    from viral.datasets.streams import dense, streams_of
    from viral.models.fusion import Fusion
    from viral.models.fusion_config import FusionConfig

    feature_set = feature_set or FeatureSet.named("light")
    torch.manual_seed(seed)
    model = Fusion(FusionConfig(streams=dense(streams_of(feature_set))))
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


@pytest.fixture(scope="session")
def endpoint(shared_ray: SharedRay, root: Path) -> Callable[[], str]:
    """Starts the endpoint that the tests of this process share, unless it runs; gives its URL.

    Starting one takes ten seconds of both cores, so it has the settings that any of its tests needs.
    """
    url = ""

    def up() -> str:
        nonlocal url
        from ray import serve

        if not ray_is_up() or NAME not in serve.status().applications:
            url = shared_ray.run(started(root))
        return url

    return up


def ray_is_up() -> bool:
    import ray

    return bool(ray.is_initialized())


@contextmanager
def started(root: Path, settings: Settings = LIMITS, key: str = KEY) -> Iterator[str]:
    """The endpoint with a key and tight limits, on a Serve that runs already: whatever its settings say of the port."""
    from ray import serve

    port = start_serve()
    with key_in_environment(key):  # read once: later tests have none
        spec = EndpointSpec(str(root), (MODEL,), settings, key_digest("127.0.0.1"))
    with running(spec) as url:
        assert url == f"http://127.0.0.1:{port}"
        yield url
    serve.shutdown()


def start_serve() -> int:
    """Start Serve at a free port, and return that; a Serve of a test before is ended, as its port cannot be changed."""
    from ray import serve

    serve.shutdown()
    port = free_port()
    serve.start(http_options={"port": port})
    return port


@pytest.fixture(scope="module")
def client(endpoint: Callable[[], str]) -> Iterator[httpx.Client]:
    """A client of the shared endpoint that has the key."""
    with httpx.Client(base_url=endpoint(), headers=BEARER, timeout=60, trust_env=False) as client:
        yield client


@contextmanager
def key_in_environment(key: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
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
