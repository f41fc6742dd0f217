"""`serve.endpoint:app`, as Serve's own tools take it, on a root in S3."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.session import session
from serve.endpoint import app, build, free_port, running
from serve.settings import KEY_VARIABLE, EndpointSpec, digest
from viral import s3
from viral.config import ServeSettings, Settings
from viral.errors import ConfigError, RootError, TableError
from viral.registry import Registry
from viral.store import Store

Check = Callable[..., Any]

SCORE, KEY = "/v1/score", "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def key() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, KEY)
        yield KEY


@pytest.fixture(scope="module")
def s3_store(s3_server: str, root: Path, clip: Path) -> Store:
    """The model and one clip of the folder, in a bucket."""
    bucket = f"serve-{uuid.uuid4().hex[:12]}"
    s3.client().create_bucket(Bucket=bucket)
    store, saved = Store.open(f"s3://{bucket}/prefix"), Registry(Store.open(root)).load("tiny")
    Registry(store).save("tiny", saved.card, saved.weights)
    store.upload(clip, f"videos/{clip.name}")
    store.write("videos/text.mp4", b"no video")
    s3.upload(clip, f"s3://{bucket}/beside.mp4")
    return store


@pytest.fixture(scope="module")
def client(s3_store: Store, temporary: Path, key: str) -> Iterator[httpx.Client]:
    from ray import serve

    port = free_port("127.0.0.1", 0)
    with session():
        serve.start(http_options={"port": port})
        serve.run(app({"root": s3_store.root, "model": "tiny"}))
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=240,
            trust_env=False,
        ) as client:
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
    bucket = s3.split(s3_store.root)[0]
    outside = [f"s3://{bucket}/beside.mp4", f"s3://{bucket}/prefix-2/a.mp4", "../beside.mp4", "s3://other/a.mp4"]
    for uri in (*outside, str(clip), f"file://{clip}"):
        check_refusal(client.post(SCORE, json={"uri": uri}), 403, "outside_root")


def test_health_needs_no_key_and_a_score_does(client: httpx.Client, check_refusal: Check) -> None:
    assert httpx.get(client.base_url.join("/healthz"), trust_env=False).json()["status"] == "ok"
    check_refusal(httpx.post(client.base_url.join(SCORE), json={"caption": "a"}, trust_env=False), 401, "unauthorized")


def test_it_takes_a_root_and_a_model(root: Path, key: str) -> None:
    with pytest.raises(ConfigError, match="takes root=… and model=…"):
        app({"root": str(root)})
    with pytest.raises(ConfigError, match="takes root=… and model=…"):
        app({"root": str(root), "model": "tiny", "key": KEY})
    with pytest.raises(RootError, match="does not exist"):
        app({"root": str(root / "none"), "model": "tiny"})
    with pytest.raises(TableError, match="there is no model none"):
        app({"root": str(root), "model": "none"})


def test_it_needs_a_key(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve's tools bind what they are told to."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match="set VIRAL_API_KEY"):
        app({"root": str(root), "model": "tiny"})


def test_the_key_is_no_part_of_what_serve_keeps(root: Path) -> None:
    from ray import cloudpickle

    built = build(EndpointSpec(str(root), "tiny", Settings()), digest(KEY))
    kept: bytes = cloudpickle.dumps(built)
    assert digest(KEY).encode() in kept
    assert KEY.encode() not in kept


def test_a_model_of_another_version_of_the_code_is_refused(root: Path) -> None:
    registry = Registry(Store.open(root))
    saved = registry.load("tiny")
    feature_set = {**saved.card["feature_set"], "fingerprint": "0123456789ab"}
    registry.save("foreign", {**saved.card, "feature_set": feature_set}, saved.weights)
    with pytest.raises(ConfigError, match="use the same version of viral"):
        build(EndpointSpec(str(root), "foreign", Settings()))


def test_where_serve_runs_already_its_address_is_used(client: httpx.Client, root: Path) -> None:
    """Whatever the settings say. The last test: it takes the place of the application that the others ask."""
    from ray import serve

    spec = EndpointSpec(str(root), "tiny", Settings(serve=ServeSettings(port=1)))
    with pytest.raises(ConfigError, match="another application"), running(spec):
        pass
    serve.delete("default")
    with running(spec) as url:
        assert url == str(client.base_url).rstrip("/")
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
