"""The endpoint's replicas follow its load."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import httpx
import pytest

from jobs.runtime.session import connect, session
from serve.endpoint import NAME, TARGET_VIDEOS
from tests.serve.conftest import BEARER, LIMITS, started
from tests.shared_ray import SharedRay

pytestmark = pytest.mark.slow

WITHIN = 120.0  # seconds; a busy machine starts a replica slowly
CORES = 3  # that Ray is told of: a second decoder would not fit into the two that small machines have
CLIENTS = 4 * TARGET_VIDEOS
SETTINGS = LIMITS.model_copy(
    update={
        "serve": LIMITS.serve.model_copy(
            update={
                "max_decoders": 2,
                "upscale_seconds": 1.0,
                "downscale_seconds": 2.0,
                "max_wait_seconds": WITHIN,  # all of this load is taken
                "cache_bytes": 0,  # every upload is decoded
            }
        ),
        "sandbox": LIMITS.sandbox.model_copy(update={"seconds": WITHIN}),
    }
)


@pytest.fixture
def ray_with_room(shared_ray: SharedRay, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Ray of this test alone."""
    shared_ray.end()
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", json.dumps({"CPU": CORES}))
    with session():
        connect()
        yield


@contextmanager
def uploading(url: str, clip: Path) -> Iterator[list[int]]:
    """Clients that send a video again and again; the statuses of all answers."""
    statuses: list[int] = []
    ended, content = Event(), clip.read_bytes()

    def send() -> None:
        with httpx.Client(base_url=url, headers=BEARER, timeout=WITHIN, trust_env=False) as client:
            while not ended.is_set():
                statuses.append(client.post("/v1/score", files={"file": ("a.mp4", content)}).status_code)

    with ThreadPoolExecutor(CLIENTS) as threads:
        sending = [threads.submit(send) for _ in range(CLIENTS)]
        try:
            yield statuses
        finally:
            ended.set()
        for each in sending:
            each.result()


def await_decoders(number: int) -> None:
    """Wait until so many replicas decode."""
    from ray import serve

    until, states = time.monotonic() + WITHIN, {}
    while states != {"RUNNING": number}:
        assert time.monotonic() < until, states
        time.sleep(0.2)
        found = serve.status().applications[NAME].deployments["Media"].replica_states
        states = {getattr(state, "value", state): count for state, count in found.items()}


def test_replicas_are_added_under_load_and_removed_after_it(ray_with_room: None, root: Path, clip: Path) -> None:
    with started(root, SETTINGS) as url:
        await_decoders(1)
        with uploading(url, clip) as statuses:
            await_decoders(2)
        await_decoders(1)
    assert set(statuses) == {200}
