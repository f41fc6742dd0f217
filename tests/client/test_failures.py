"""Faults of the endpoint, the network and local files: what is tried again, and what an error says."""

from __future__ import annotations

import hashlib
import io
import logging
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.client import endpoint as faults
from tests.client.conftest import Ask
from tests.client.endpoint import FakeEndpoint
from tests.shared_ray import free_port
from viral.client import Client, attempts
from viral.errors import ConfigError, EndpointError

KEY = "a secret — ключ"
VIDEO = np.random.default_rng(0).bytes(300_000)


def test_a_busy_endpoint_is_tried_again(ask: Ask, endpoint: FakeEndpoint) -> None:
    endpoint.faults += [faults.problem(429, "busy", Retry_After="0"), faults.problem(503, "not_ready")]
    assert ask("score", caption="x").probability == 0.25
    first, second, third = endpoint.seen
    assert second.at - first.at >= attempts.FIRST_PAUSE / 2
    assert third.at - second.at >= attempts.FIRST_PAUSE


@pytest.mark.parametrize("form", ["path", "bytes", "open file"])
def test_an_upload_begins_again_from_its_start(ask: Ask, endpoint: FakeEndpoint, tmp_path: Path, form: str) -> None:
    path = tmp_path / "draft.mp4"
    path.write_bytes(VIDEO)
    opened = io.BytesIO(b"head" + VIDEO)
    opened.seek(4)
    endpoint.faults += [faults.hang_up(100_000), faults.problem(503, "busy")]
    ask("score", {"path": path, "bytes": VIDEO, "open file": opened}[form], caption="x")
    seen = endpoint.seen[-1]
    assert len(endpoint.seen) == 3
    assert (seen.files[0][1], seen.fields) == (hashlib.sha256(VIDEO).hexdigest(), {"caption": "x"})


def test_pauses_double_with_jitter_and_respect_retry_after() -> None:
    tries, busy = attempts.Attempts(1e6), EndpointError("busy", status=503)
    pauses = [tries.pause(busy) for _ in range(12)]
    limits = [min(attempts.LONGEST_PAUSE, attempts.FIRST_PAUSE * 2**failure) for failure in range(12)]
    assert all(limit / 2 <= pause <= limit for pause, limit in zip(pauses, limits, strict=True))
    assert len({pause / limit for pause, limit in zip(pauses, limits, strict=True)}) == 12
    for seconds in (1.0, 60.0):
        assert (
            seconds < attempts.Attempts(100).pause(EndpointError("busy", status=429, retry_after=seconds)) < seconds + 1
        )


def test_retry_after_beyond_the_deadline_ends_the_call_at_once(ask: Ask, endpoint: FakeEndpoint) -> None:
    date = "Fri, 31 Dec 2100 23:59:59 GMT"
    for value in ("60", date):
        endpoint.faults.append(faults.problem(429, "busy", Retry_After=value))
        began = time.monotonic()
        with pytest.raises(EndpointError) as refused:
            ask("score", caption="x", settings={"timeout": 30})
        assert time.monotonic() - began < 20  # it asks for 60; a busy machine needs seconds for the request itself
        assert (refused.value.status, refused.value.reason, refused.value.detail) == (429, "busy", "try again")
        assert refused.value.retry_after is not None
        assert refused.value.retry_after >= 60
    assert len(endpoint.seen) == 2


def test_a_deadline_bounds_all_attempts(ask: Ask, endpoint: FakeEndpoint) -> None:
    endpoint.faults += [faults.problem(503, "busy")] * 20
    with pytest.raises(EndpointError, match="try again") as busy:
        ask("score", caption="x", settings={"timeout": 0.4})
    assert busy.value.status == 503
    assert 1 < len(endpoint.seen) < 9


@pytest.mark.parametrize("fault", [faults.silence, faults.drip])
def test_an_endpoint_that_stalls(ask: Ask, endpoint: FakeEndpoint, fault: faults.Fault) -> None:
    endpoint.faults.append(fault)
    with pytest.raises(EndpointError, match=r"no answer within 0\.3 seconds") as late:
        ask("score", VIDEO, settings={"timeout": 0.3})
    assert (late.value.status, late.value.reason) == (None, "deadline")
    assert len(endpoint.seen) == 1


def test_no_endpoint(ask: Ask) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    settings = {"url": url, "timeout": 0.4}
    with pytest.raises(EndpointError, match=f"cannot reach {url}: ") as unreachable:
        ask("score", caption="x", settings=settings)
    assert (unreachable.value.status, unreachable.value.reason) == (None, "unreachable")
    assert ask("ready", settings=settings) is False


def test_readiness_is_one_attempt(ask: Ask, endpoint: FakeEndpoint) -> None:
    assert ask("ready") is True
    assert len(endpoint.seen) == 1
    with pytest.raises(EndpointError, match="there is no /here/healthz"):
        ask("ready", settings={"url": f"{endpoint.url}/here"})


def test_other_errors_are_not_tried_again(ask: Ask, endpoint: FakeEndpoint) -> None:
    with pytest.raises(EndpointError) as refused:
        ask("score", b"x", caption="bad")
    assert (refused.value.status, refused.value.reason) == (422, "unreadable")
    assert str(refused.value) == "no decoder can read the file (unreadable)"
    assert len(endpoint.seen) == 1


@pytest.mark.parametrize(
    ("fault", "status", "reason", "detail"),
    [
        (faults.text(502, "<html><h1>Bad\r\nGateway</h1>nginx\x1b</html>"), 502, "bad_gateway", "Bad Gateway nginx"),
        (faults.text(404, "x" * 5000), 404, "not_found", "x" * 300),
        (faults.text(500, ""), 500, "internal_server_error", "HTTP status 500 without a text"),
        (faults.text(413, '{"detail": "too big"}'), 413, "request_entity_too_large", "too big"),
        (faults.text(599, "[1]"), 599, "error", "[1]"),
        (faults.text(200, "<html>log in here</html>"), 200, "bad_response", "this is no answer of a scoring endpoint"),
        (faults.text(200, '{"probability": 1}'), 200, "bad_response", "this is no answer of a scoring endpoint"),
        (faults.text(200, "garbled", Content_Encoding="gzip"), None, "bad_response", "Error -3"),
    ],
)
def test_answers_of_others(
    ask: Ask, endpoint: FakeEndpoint, fault: faults.Fault, status: int | None, reason: str, detail: str
) -> None:
    endpoint.faults.append(fault)
    with pytest.raises(EndpointError) as refused:
        ask("score", caption="x")
    assert (refused.value.status, refused.value.reason) == (status, reason)
    assert refused.value.detail.startswith(detail)
    assert refused.value.detail == refused.value.detail[:300].strip() or status == 200
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("status", [302, 307])
def test_no_redirect_is_followed(ask: Ask, endpoint: FakeEndpoint, status: int) -> None:
    with faults.running() as other:
        endpoint.faults.append(faults.text(status, "", Location=f"{other.url}/v1/score"))
        with pytest.raises(EndpointError, match=f"redirects to {other.url}/v1/score: use that address") as refused:
            ask("score", caption="x", settings={"api_key": KEY})
        assert refused.value.status == status
        assert other.seen == []
    assert len(endpoint.seen) == 1


def test_files_that_cannot_be_read(ask: Ask, endpoint: FakeEndpoint, tmp_path: Path) -> None:
    for path in (tmp_path / "no.mp4", tmp_path):
        with pytest.raises(EndpointError, match=f"cannot read {path}: ") as missing:
            ask("score", path)
        assert (missing.value.status, missing.value.reason) == (None, "missing_object")
    assert endpoint.seen == []


def test_a_file_that_shrinks_while_it_is_sent(ask: Ask, endpoint: FakeEndpoint, tmp_path: Path) -> None:
    class Shrinking(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(size) if self.tell() < 100_000 else b""

    with pytest.raises(EndpointError, match="became shorter") as shrunk:
        ask("score", Shrinking(VIDEO))
    assert shrunk.value.reason == "storage_error"


def test_the_key_is_sent_and_shown_nowhere(
    ask: Ask, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ask("score", caption="x")
    ask("score", caption="x", settings={"api_key": KEY})
    monkeypatch.setenv("VIRAL_API_KEY", f"{KEY}\n")
    ask("score", caption="x")
    sent = [seen.headers.get("Authorization", "").encode("latin-1").decode() for seen in endpoint.seen]
    assert sent == ["", f"Bearer {KEY}", f"Bearer {KEY}"]
    endpoint.faults.append(faults.problem(401, "unauthorized"))
    with pytest.raises(EndpointError) as refused, Client(endpoint.url) as client:
        client.score(caption="x")
    shown = [caplog.text, repr(client), repr(vars(client)), repr(refused.value), repr(refused.value.__cause__)]
    assert not any("secret" in text for text in shown)
    assert repr(client) == f"Client('{endpoint.url}')"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "127.0.0.1:8000"}, "is not the URL of an endpoint"),
        ({"url": "file:///etc/passwd"}, "is not the URL of an endpoint"),
        ({"url": "http://me:secret@127.0.0.1"}, "has a user or password: put the key into VIRAL_API_KEY"),
        ({"url": "http://127.0.0.1:port"}, "is not valid"),
        ({"api_key": "secret\r\nX-Evil: 1"}, "the API key contains a control character"),
        ({"timeout": 0}, "give seconds above 0"),
    ],
)
def test_settings_that_do_not_fit(ask: Ask, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        ask("ready", settings=settings)
    assert "secret" not in str(refused.value)


MEMORY = """
import resource, sys
from viral.client import Client

with Client(sys.argv[1]) as client:
    client.score(b"x" * 100_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    client.score(sys.argv[2])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_large_upload_takes_no_memory(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    size = 200 << 20
    with (tmp_path / "large.mp4").open("wb") as file:
        file.truncate(size)
    command = [sys.executable, "-c", MEMORY, endpoint.url, str(tmp_path / "large.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert endpoint.seen[-1].length > size
    assert int(done.stdout) < 8 << 10  # KiB: some chunks of 64 KiB
