"""`serve.endpoint:app`, as Serve's own tools take it, on a root in S3."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Self

import httpx
import pytest

from serve.endpoint import NAME, app, build, running
from serve.keys import KEY_VARIABLE, add_key, digest
from serve.settings import EndpointSpec
from tests.conftest import Viral
from tests.serve.conftest import BEARER, KEY, calibrated, key_in_environment, save_model, start_serve
from viral.config import Settings
from viral.errors import ConfigError, RootError, TableError
from viral.extractors.extractor import Context
from viral.extractors.feature_set import FeatureSet
from viral.features.pipeline import Pipeline
from viral.registry.promotions import Promotion, promotions, record
from viral.registry.registry import Registry
from viral.scoring.scorer import Scorer
from viral.storage import s3
from viral.storage.store import Store

Check = Callable[..., Any]

SCORE = "/v1/score"
FOLLOW_SECONDS, SWAPPED_WITHIN = 0.2, 60.0
NUMBERS = ("probability", "percentile", "score", "interval")
SMALL = FeatureSet.from_dict({"name": "small", "extractors": ["metadata", "caption"]})


@pytest.fixture(scope="module")
def key() -> Iterator[str]:
    with key_in_environment(KEY):
        yield KEY


@pytest.fixture(scope="module")
def s3_store(s3_server: str, root: Path, clip: Path) -> Store:
    """The model and one clip of the folder, in a bucket."""
    bucket = f"serve-{uuid.uuid4().hex[:12]}"
    s3.client().create_bucket(Bucket=bucket)
    store, saved = Store.open(f"s3://{bucket}/prefix"), Registry(Store.open(root)).load("tiny")
    calibrated(store, Registry(store).save("tiny", saved.card, saved.weights))
    promoted(store, 1)
    store.upload(clip, f"videos/{clip.name}")
    store.write("videos/text.mp4", b"no video")
    s3.upload(clip, f"s3://{bucket}/beside.mp4")
    return store


def promoted(store: Store, version: int) -> None:
    """Make a version the champion, whatever its figures."""
    number = len(promotions(store, "tiny")) + 1
    assert record(
        store, "tiny", Promotion(number, version, None, "now", None, "spearman", 0.0, override_reason="a test")
    )


@pytest.fixture(scope="module")
def client(s3_store: Store, ray_session: None, key: str) -> Iterator[httpx.Client]:
    """An endpoint that follows the champion."""
    from ray import serve

    port = start_serve()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIRAL_SERVE__FOLLOW_SECONDS", str(FOLLOW_SECONDS))
        serve.run(app({"root": s3_store.root, "model": "tiny@champion"}), name=NAME)
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, headers=BEARER, timeout=240, trust_env=False) as client:
        yield client
    serve.shutdown()


def test_an_object_below_the_root_is_scored_as_its_upload(client: httpx.Client, s3_store: Store, clip: Path) -> None:
    uploaded = client.post(SCORE, files={"file": clip.read_bytes()}, data={"caption": "a"}).json()
    for uri in (f"videos/{clip.name}", s3_store.uri(f"videos/{clip.name}")):
        named = client.post(SCORE, json={"uri": uri, "caption": "a"})
        assert named.status_code == 200, named.text
        different = {"seconds"}
        assert {name: value for name, value in named.json().items() if name not in different} == {
            name: value for name, value in uploaded.items() if name not in different
        }


def test_objects_that_are_none_are_refused(client: httpx.Client, check_refusal: Check) -> None:
    check_refusal(client.post(SCORE, json={"uri": "videos/none.mp4"}), 404, "missing_object")
    check_refusal(client.post(SCORE, json={"uri": "videos/text.mp4"}), 422, "unreadable")


def test_nothing_outside_the_prefix_can_be_named(
    client: httpx.Client, s3_store: Store, clip: Path, check_refusal: Check
) -> None:
    bucket = s3.split_uri(s3_store.root)[0]
    outside = [f"s3://{bucket}/beside.mp4", f"s3://{bucket}/prefix-2/a.mp4", "../beside.mp4", "s3://other/a.mp4"]
    for uri in (*outside, str(clip), f"file://{clip}"):
        check_refusal(client.post(SCORE, json={"uri": uri}), 403, "outside_root")


def test_health_needs_no_key_and_a_score_does(client: httpx.Client, check_refusal: Check) -> None:
    assert httpx.get(client.base_url.join("/healthz"), trust_env=False).json()["status"] == "ok"
    check_refusal(httpx.post(client.base_url.join(SCORE), json={"caption": "a"}, trust_env=False), 401, "unauthorized")


def test_it_takes_a_root_models_and_settings(root: Path, key: str) -> None:
    with pytest.raises(ConfigError, match="root: Field required"):
        app({"model": "tiny"})
    with pytest.raises(ConfigError, match="key: Extra inputs are not permitted"):
        app({"root": str(root), "model": "tiny", "key": KEY})
    with pytest.raises(ConfigError, match=r"serve\.max_replica: Extra inputs"):
        app({"root": str(root), "model": "tiny", "settings": {"serve": {"max_replica": 2}}})
    with pytest.raises(RootError, match="does not exist"):
        app({"root": str(root / "none"), "model": "tiny"})
    with pytest.raises(TableError, match="there is no model none"):
        app({"root": str(root), "model": ["tiny", "none"]})


def test_a_champion_that_there_is_not_is_said_so(root: Path, key: str) -> None:
    with pytest.raises(TableError, match="model tiny has no champion: promote a version"):
        app({"root": str(root), "model": "tiny@champion"})


def test_it_needs_a_key(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve's tools choose the host themselves."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match="set VIRAL_API_KEY"):
        app({"root": str(root), "model": "tiny"})
    add_key(tmp_path / "keys.json", "a")
    app({"root": str(root), "model": "tiny", "settings": {"serve": {"keys_file": str(tmp_path / "keys.json")}}})


def test_the_key_is_no_part_of_what_serve_keeps(root: Path) -> None:
    from ray import cloudpickle

    built = build(EndpointSpec(str(root), ("tiny",), Settings(), digest(KEY)))
    pickled: bytes = cloudpickle.dumps(built)
    assert digest(KEY).encode() in pickled
    assert KEY.encode() not in pickled


def test_a_model_of_another_version_of_the_code_is_refused(root: Path) -> None:
    registry = Registry(Store.open(root))
    saved = registry.load("tiny")
    feature_set = {**saved.card["feature_set"], "fingerprint": "0123456789ab"}
    registry.save("foreign", {**saved.card, "feature_set": feature_set}, saved.weights)
    with pytest.raises(ConfigError, match="use the same version of viral"):
        build(EndpointSpec(str(root), ("foreign",), Settings()))


@dataclass
class Asking:
    """Two who ask without a pause, one by upload and one by words, and what they were answered."""

    client: httpx.Client
    clip: Path
    replies: dict[str, list[httpx.Response]] = field(default_factory=lambda: {"clip": [], "words": []})
    ended: Event = field(default_factory=Event)

    def __enter__(self) -> Self:
        self.pool = ThreadPoolExecutor(2)
        self.asking = [self.pool.submit(self._ask, what) for what in self.replies]
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.pool.shutdown()
        for request in self.asking:
            request.result()

    def _ask(self, what: str) -> None:
        content = self.clip.read_bytes()
        while not self.ended.is_set():
            body: Any = {"json": {"caption": "a"}} if what == "words" else {"files": {"file": content}}
            self.replies[what].append(self.client.post(SCORE, **body))

    def until(self, model: str) -> None:
        """Wait until both were answered by a version, and the endpoint says that it serves it."""
        until = time.monotonic() + SWAPPED_WITHIN
        while time.monotonic() < until:
            last = [replies[-1].json().get("model") for replies in self.replies.values() if replies]
            if last == [model, model] and health(self.client) == model:
                return
            time.sleep(0.1)
        pytest.fail(f"{model} was not served within {SWAPPED_WITHIN:g} s")


def health(client: httpx.Client) -> str:
    return str(client.get("/healthz").json()["model"])


def expected(store: Store, version: int, clip: Path) -> dict[str, dict[str, Any]]:
    """What the pipeline of a backfill and the scorer say by that version."""
    scorer = Scorer.load(store, f"tiny/{version}", numpy=True)
    with Pipeline(scorer.feature_set, store, Settings()) as pipeline:
        asked = {
            "clip": pipeline.extract_draft(str(clip), Context()),
            "words": pipeline.extract_draft(None, Context(caption="a")),
        }
        scored = {what: scorer.score([outcome.vectors])[0] for what, outcome in asked.items()}
    return {what: {name: each.to_dict()[name] for name in NUMBERS} for what, each in scored.items()}


def test_a_promotion_is_followed_and_no_request_fails(client: httpx.Client, s3_store: Store, clip: Path) -> None:
    """To a model of other features, past one that is damaged, to one of the same features."""
    assert health(client) == "tiny/1"
    other, damaged, alike = (save_model(s3_store, SMALL, seed) for seed in (1, 2, 3))
    s3_store.write(f"models/tiny/{damaged:04d}/model.safetensors", b"damaged")
    with Asking(client, clip) as asking:
        asking.until("tiny/1")
        promoted(s3_store, other)
        asking.until(f"tiny/{other}")
        promoted(s3_store, damaged)
        message = f"cannot load the champion tiny/{damaged}, still serving the previous model: the weights of model"
        await_log(message)
        asking.until(f"tiny/{other}")
        promoted(s3_store, alike)
        asking.until(f"tiny/{alike}")
    numbers = {f"tiny/{version}": expected(s3_store, version, clip) for version in (1, other, alike)}
    for what, replies in asking.replies.items():
        assert [reply.text for reply in replies if reply.status_code != 200] == []
        bodies = [reply.json() for reply in replies]
        # None goes back to what was served before, and each is the answer of the version that it names.
        assert list(dict.fromkeys(body["model"] for body in bodies)) == list(numbers)
        assert [body["model"] for body in bodies] == sorted(body["model"] for body in bodies)
        for body in bodies:
            for name, number in numbers[body["model"]][what].items():
                assert body[name] == pytest.approx(number, rel=1e-6)


def await_log(message: str) -> None:
    import ray

    folder = Path(ray._private.worker._global_node.get_logs_dir_path(), "serve")
    until = time.monotonic() + SWAPPED_WITHIN
    while time.monotonic() < until:
        if any(message in path.read_text(errors="replace") for path in folder.glob("*Encoder*.log")):
            return
        time.sleep(0.1)
    pytest.fail(f"no log says {message!r}")


def test_the_operator_sees_it_and_stops_it(client: httpx.Client, viral_here: Viral, root: Path) -> None:
    """The last test: it ends what the others ask."""
    with pytest.raises(ConfigError, match="already running"), running(EndpointSpec(str(root), ("tiny",), Settings())):
        pass
    seen = viral_here("serve", "status", RAY_ADDRESS="this session")
    assert seen.stdout.startswith("RUNNING\n")
    assert "Encoder    1 RUNNING" in seen.stdout
    assert viral_here("serve", "stop", RAY_ADDRESS="this session").stdout == "stopped\n"
    stopped = viral_here("serve", "status", RAY_ADDRESS="this session")
    assert (stopped.returncode, "no endpoint runs on this cluster" in stopped.stderr) == (2, True)


def test_another_application_is_not_replaced(client: httpx.Client, root: Path) -> None:
    from ray import serve

    @serve.deployment
    class Other:
        def __call__(self) -> str:
            return "other"

    serve.run(Other.bind())
    with (
        pytest.raises(ConfigError, match="another application"),
        running(EndpointSpec(str(root), ("tiny",), Settings())),
    ):
        pass
    assert httpx.get(client.base_url, trust_env=False).text == "other"
