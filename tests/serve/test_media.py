"""The media deployment by itself: a storage that stalls holds up nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from serve.media import MediaDeployment
from serve.settings import EndpointSpec
from viral.config import Settings
from viral.extractors.extractor import Context
from viral.extractors.feature_set import FeatureSet
from viral.features.posts import DecodedPost, ExtractionRequest

_MISSING = b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Message>It does not exist.</Message></Error>"


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """An S3 that answers nothing until the event is set."""
    answers = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.wait(60)
            self.send_response(404)
            self.send_header("Content-Length", str(len(_MISSING)))
            self.end_headers()
            self.wfile.write(_MISSING)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield answers
        answers.set()
        server.shutdown()
        thread.join()


def test_an_upload_is_decoded_while_all_fetches_stall(stalled: threading.Event, clip: Path) -> None:
    """Also while clients leave their fetches, and others follow."""
    settings, requests = Settings(), FeatureSet.named("light").requests

    async def decode() -> tuple[DecodedPost, list[DecodedPost]]:
        media = MediaDeployment(EndpointSpec("s3://bucket/root", ("tiny",), settings))

        def fetch(number: int) -> asyncio.Task[DecodedPost]:
            request = ExtractionRequest("stored", f"videos/{number}.mp4", Context(), requests=requests)
            return asyncio.create_task(media(request))

        left = [fetch(number) for number in range(settings.serve.max_fetching)]
        await asyncio.sleep(0.5)
        for task in left:
            task.cancel()
        fetches = [fetch(number) for number in range(settings.serve.max_fetching)]
        await asyncio.sleep(0.1)
        upload = await asyncio.wait_for(media(ExtractionRequest("draft", str(clip), Context(), requests=requests)), 30)
        assert not any(task.done() for task in fetches)
        stalled.set()
        fetched = await asyncio.gather(*fetches)
        media.close()
        return upload, fetched

    upload, fetched = asyncio.run(decode())
    assert upload.media is not None
    assert upload.media.tracks
    assert {post.reason for post in fetched} == {"missing_object"}
